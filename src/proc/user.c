/* user.c - finding users and groups, and giving up what root may do. */
#include "proc/user.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <unistd.h>

static int find_user(const char *name, struct crew__identity *identity)
{
	errno = 0;
	const struct passwd *entry = getpwnam(name);
	if (!entry)
		return errno != 0 && errno != ENOENT ? -errno : -ENOENT;
	identity->uid = entry->pw_uid;
	identity->gid = entry->pw_gid;
	return 0;
}

static int find_group(const char *name, struct crew__identity *identity)
{
	errno = 0;
	const struct group *entry = getgrnam(name);
	if (!entry)
		return errno != 0 && errno != ENOENT ? -errno : -ENOENT;
	identity->gid = entry->gr_gid;
	return 0;
}

static const char *reason(int status)
{
	return status == -ENOENT ? "there is no such name on this machine" : strerror(-status);
}

int crew__identity_find(const struct crew__service_settings *settings,
	struct crew__identity *ret_identity, char *ret_error, size_t error_size)
{
	const char *service = settings->service->name;
	struct crew__identity identity = {
		.user = settings->user,
		.uid = geteuid(),
		.gid = getegid(),
	};
	int status = settings->user ? find_user(settings->user, &identity) : 0;
	if (status < 0) {
		snprintf(ret_error, error_size, "%s.user = %s: %s", service, settings->user,
			reason(status));
		return status;
	}
	status = settings->group ? find_group(settings->group, &identity) : 0;
	if (status < 0) {
		snprintf(ret_error, error_size, "%s.group = %s: %s", service, settings->group,
			reason(status));
		return status;
	}
	identity.changes = identity.uid != geteuid() || identity.gid != getegid();
	if (identity.changes && geteuid() != 0) {
		snprintf(ret_error, error_size,
			"%s: only root can run workers as another user or group; start it as root, or "
			"leave user and group unset",
			service);
		return -EPERM;
	}
	*ret_identity = identity;
	return 0;
}

/* ---- becoming it --------------------------------------------------------------------------- */

static int compare_groups(const void *a, const void *b)
{
	gid_t left = *(const gid_t *)a, right = *(const gid_t *)b;
	return (left > right) - (left < right);
}

/* Sorted, each once. */
static size_t sort_groups(gid_t *groups, size_t count)
{
	size_t kept = 0;
	qsort(groups, count, sizeof(*groups), compare_groups);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || groups[kept - 1] != groups[i])
			groups[kept++] = groups[i];
	return kept;
}

/* Those that the user is a member of, allocated; without a user only the group itself. */
static gid_t *list_groups(const struct crew__identity *identity, size_t *ret_count)
{
	int count = 1, room;
	gid_t *groups = malloc(sizeof(*groups));
	if (groups)
		groups[0] = identity->gid;
	while (groups && identity->user) {
		room = count;
		if (getgrouplist(identity->user, identity->gid, groups, &count) >= 0)
			break;
		/* It says how many there are, or at least that there are more. */
		count = count > room ? count : room * 2;
		gid_t *more = reallocarray(groups, (size_t)count, sizeof(*groups));
		if (!more)
			free(groups);
		groups = more;
	}
	*ret_count = groups ? sort_groups(groups, (size_t)count) : 0;
	return groups;
}

/* Exactly these, whatever order the kernel keeps them in. */
static bool has_groups(const gid_t *groups, size_t count)
{
	int number = getgroups(0, NULL);
	gid_t *present = number >= 0 ? calloc((size_t)number + 1, sizeof(*present)) : NULL;
	bool same = false;
	if (present && getgroups(number, present) == number) {
		size_t kept = sort_groups(present, (size_t)number);
		same = kept == count && memcmp(present, groups, count * sizeof(*groups)) == 0;
	}
	free(present);
	return same;
}

int crew__identity_take_groups(const struct crew__identity *identity)
{
	size_t count;
	if (!identity->changes)
		return 0;
	gid_t *groups = list_groups(identity, &count);
	if (!groups)
		return -ENOMEM;
	int status = setgroups(count, groups) < 0 ? -errno : 0;
	if (status == 0 && setresgid(identity->gid, identity->gid, identity->gid) < 0)
		status = -errno;
	if (status == 0 && !has_groups(groups, count))
		status = -EPERM;
	free(groups);
	return status;
}

int crew__identity_take_user(const struct crew__identity *identity)
{
	if (!identity->changes)
		return 0;
	return setresuid(identity->uid, identity->uid, identity->uid) < 0 ? -errno : 0;
}

/* The ids that files are opened with cannot be asked for: an impossible change tells them. */
static bool has_ids(const struct crew__identity *identity)
{
	uid_t uid[4];
	gid_t gid[4];
	if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0)
		return false;
	uid[3] = (uid_t)setfsuid((uid_t)-1);
	gid[3] = (gid_t)setfsgid((gid_t)-1);
	for (size_t i = 0; i < crew__lengthof(uid); i++)
		if (uid[i] != identity->uid || gid[i] != identity->gid)
			return false;
	return true;
}

bool crew__identity_is_for_good(const struct crew__identity *identity, bool may_return)
{
	if (!identity->changes)
		return true;
	if (!has_ids(identity))
		return false;
	if (may_return || identity->uid == 0)
		return true;
	return setresuid(0, 0, 0) < 0 && setresuid((uid_t)-1, 0, (uid_t)-1) < 0 &&
	       setgroups(1, &(gid_t){ 0 }) < 0 && (identity->gid == 0 || setresgid(0, 0, 0) < 0) &&
	       has_ids(identity);
}

void crew__user_name(char *text, size_t size)
{
	const struct passwd *entry = getpwuid(geteuid());
	if (entry)
		snprintf(text, size, "%s", entry->pw_name);
	else
		snprintf(text, size, "%u", (unsigned)geteuid());
}

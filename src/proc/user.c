/* user.c - finding users and groups, and giving up what root may do. */
#include "proc/user.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
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

static bool is_for_good(const struct crew__identity *identity)
{
	uid_t uid[3];
	gid_t gid[3];
	if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0)
		return false;
	for (int i = 0; i < 3; i++)
		if (uid[i] != identity->uid || gid[i] != identity->gid)
			return false;
	return identity->uid == 0 || setresuid(0, 0, 0) < 0;
}

int crew__identity_become(const struct crew__identity *identity)
{
	if (!identity->changes)
		return 0;
	int status = identity->user ? initgroups(identity->user, identity->gid)
				    : setgroups(1, &identity->gid);
	if (status < 0 || setresgid(identity->gid, identity->gid, identity->gid) < 0 ||
		setresuid(identity->uid, identity->uid, identity->uid) < 0)
		return -errno;
	return is_for_good(identity) ? 0 : -EPERM;
}

void crew__user_name(char *text, size_t size)
{
	const struct passwd *entry = getpwuid(geteuid());
	if (entry)
		snprintf(text, size, "%s", entry->pw_name);
	else
		snprintf(text, size, "%u", (unsigned)geteuid());
}

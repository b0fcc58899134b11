/* confine.c - the steps of confine.h, each verified by asking the kernel. */
#include "proc/confine.h"

#include "base/check.h"
#include "proc/caps.h"
#include "proc/seccomp.h"
#include "service/capabilities.h"
#include "service/cpus.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum step {
	LIMITS,
	PRIORITY,
	GROUPS,
	ROOT,
	BOUND,
	USER,
	CAPABILITIES,
	FOR_GOOD,
	PRIVILEGES,
	CALLS,
	STEPS
};

struct confining {
	struct crew__service_settings *settings;
	const struct crew__identity *identity;
	unsigned id, place;
	bool new_user;    /* it is another one than this process's */
	bool limits_caps; /* exactly `keep` is to be kept */
	uint64_t keep;
	const char *key; /* of the setting that a step is carrying out */
};

/* ---- limits -------------------------------------------------------------------------------- */

static int set_limit(struct confining *c, const char *key, int resource, int64_t most)
{
	const struct rlimit limit = { .rlim_cur = (rlim_t)most, .rlim_max = (rlim_t)most };
	c->key = key;
	return setrlimit((__rlimit_resource_t)resource, &limit) < 0 ? -errno : 0;
}

/* Each connection is a descriptor. */
static int raise_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return 0;
}

static int do_limits(struct confining *c)
{
	const struct crew__service_settings *settings = c->settings;
	int status = 0;
	if (settings->umask != CREW__UNCHANGED)
		umask((mode_t)settings->umask);
	if (settings->limit_nofile > 0)
		status = set_limit(c, "limit_nofile", RLIMIT_NOFILE, settings->limit_nofile);
	else
		status = raise_descriptors();
	if (status == 0 && settings->limit_core != CREW__UNCHANGED)
		status = set_limit(c, "limit_core", RLIMIT_CORE, settings->limit_core);
	/* Not the address space: shared memory and the stacks of threads are not what grows. */
	if (status == 0 && settings->limit_memory > 0)
		status = set_limit(c, "limit_memory", RLIMIT_DATA, settings->limit_memory);
	return status;
}

/* ---- priority ------------------------------------------------------------------------------ */

static int pin(struct confining *c)
{
	struct crew__cpus cpus;
	cpu_set_t usable;
	c->key = "cpu_affinity";
	int status = crew__cpus_parse(c->settings->cpu_affinity, &cpus);
	if (status == 0)
		status = crew__cpus_usable(&usable);
	if (status < 0)
		return status;
	cpu_set_t set = crew__cpus_for(&cpus, &usable, cpus.automatic ? c->place : c->id);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

static int write_oom_score(struct confining *c)
{
	c->key = "oom_score_adj";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int status = dprintf(fd, "%d", (int)c->settings->oom_score_adj) < 0 ? -errno : 0;
	close(fd);
	return status;
}

static int do_priority(struct confining *c)
{
	const struct crew__service_settings *settings = c->settings;
	int status = settings->cpu_affinity ? pin(c) : 0;
	if (status == 0 && settings->oom_score_adj != CREW__UNCHANGED)
		status = write_oom_score(c);
	if (status < 0 || settings->nice == CREW__UNCHANGED)
		return status;
	c->key = "nice";
	return setpriority(PRIO_PROCESS, 0, (int)settings->nice) < 0 ? -errno : 0;
}

/* ---- who it is ----------------------------------------------------------------------------- */

static int do_groups(struct confining *c)
{
	c->key = c->settings->group ? "group" : "user";
	return crew__identity_take_groups(c->identity);
}

static int do_root(struct confining *c)
{
	if (!c->settings->chroot)
		return 0;
	c->key = "chroot";
	/* What libraries read by its path when they are first asked. */
	tzset();
	if (chroot(c->settings->chroot) < 0 || chdir("/") < 0)
		return -errno;
	crew__settings_enter_root(c->settings);
	return 0;
}

/* Programs that are allowed to gain privileges could not, with nothing to gain. */
static int do_bound(struct confining *c)
{
	c->key = "capabilities";
	if (!c->limits_caps || !c->settings->no_new_privs)
		return 0;
	return crew__caps_bound(c->keep);
}

static int do_user(struct confining *c)
{
	c->key = "user";
	if (c->new_user && c->keep != 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return -errno;
	return crew__identity_take_user(c->identity);
}

static int do_capabilities(struct confining *c)
{
	c->key = "capabilities";
	if (!c->limits_caps)
		return 0;
	int status = crew__caps_keep(c->keep);
	if (status == 0 && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		status = -errno;
	return status;
}

static int check_for_good(struct confining *c)
{
	bool may_return = c->keep >> CAP_SETUID & 1 || c->keep >> CAP_SETGID & 1;
	c->key = "user";
	return crew__identity_is_for_good(c->identity, may_return) ? 0 : -EPERM;
}

/* ---- what comes after it ------------------------------------------------------------------- */

static int do_privileges(struct confining *c)
{
	c->key = "no_new_privs";
	if (!c->settings->no_new_privs)
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : -EPERM;
}

static int do_calls(struct confining *c)
{
	c->key = "seccomp";
	if (c->settings->seccomp == CREW__SECCOMP_OFF)
		return 0;
	return crew__seccomp_apply((enum crew__seccomp_action)c->settings->seccomp_action);
}

/* ---- all of it ----------------------------------------------------------------------------- */

static int (*const steps[STEPS])(struct confining *c) = {
	[LIMITS] = do_limits,
	[PRIORITY] = do_priority,
	[GROUPS] = do_groups,
	[ROOT] = do_root,
	[BOUND] = do_bound,
	[USER] = do_user,
	[CAPABILITIES] = do_capabilities,
	[FOR_GOOD] = check_for_good,
	[PRIVILEGES] = do_privileges,
	[CALLS] = do_calls,
};

static int begin(struct confining *c)
{
	char unknown[32];
	const char *names = c->settings->capabilities;
	c->new_user = c->identity->uid != geteuid();
	c->limits_caps = names || c->new_user;
	return names ? crew__capabilities_parse(names, &c->keep, unknown) : 0;
}

int crew__confine(struct crew__service_settings *settings, const struct crew__identity *identity,
	unsigned id, unsigned place, char *ret_error, size_t error_size)
{
	static bool confined; /* for good: there is no second time */
	struct confining c = { .settings = settings,
		.identity = identity,
		.id = id,
		.place = place,
		.key = "capabilities" };
	crew__must(!confined);
	confined = true;
	int status = begin(&c);
	for (unsigned step = LIMITS; status == 0 && step < STEPS; step++)
		status = steps[step](&c);
	if (status < 0)
		snprintf(ret_error, error_size, "%s.%s cannot be carried out: %s",
			settings->service->name, c.key,
			status == -ENOSYS ? "this kernel or processor has no such thing"
					  : strerror(-status));
	return status;
}

unsigned crew__confine_place(const struct crew__settings *settings,
	const struct crew__service_settings *service, unsigned id)
{
	unsigned before = 0;
	for (const struct crew__service_settings *s = settings->service; s < service; s++)
		before += (unsigned)s->workers;
	return before + id;
}

/* ---- beforehand ---------------------------------------------------------------------------- */

static int refuse(const struct crew__service_settings *settings, const char *key, const char *why,
	char *ret_error, size_t error_size)
{
	snprintf(ret_error, error_size, "%s.%s: %s", settings->service->name, key, why);
	return -EPERM;
}

static bool has(const struct crew__caps *caps, unsigned capability)
{
	return caps->effective >> capability & 1;
}

/* Asking for a capability that this process does not have itself. */
static int check_kept(const struct crew__service_settings *settings, const struct crew__caps *caps,
	char *ret_error, size_t error_size)
{
	uint64_t keep = 0;
	char unknown[32], lacking[256], why[384];
	if (!settings->capabilities)
		return 0;
	if (crew__capabilities_parse(settings->capabilities, &keep, unknown) == 0 &&
		(keep & ~caps->permitted) == 0)
		return 0;
	crew__capabilities_text(keep & ~caps->permitted, lacking, sizeof(lacking));
	snprintf(why, sizeof(why),
		"this process has no %s to leave to its workers; start it as root, or with "
		"AmbientCapabilities= of systemd",
		lacking);
	return refuse(settings, "capabilities", why, ret_error, error_size);
}

static bool raises_descriptors(const struct crew__service_settings *settings)
{
	struct rlimit limit;
	return settings->limit_nofile > 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	       (rlim_t)settings->limit_nofile > limit.rlim_max;
}

/* RLIMIT_NICE holds 20 less the least niceness. */
static bool is_too_nice(const struct crew__service_settings *settings)
{
	struct rlimit limit;
	if (settings->nice == CREW__UNCHANGED || settings->nice >= getpriority(PRIO_PROCESS, 0) ||
		getrlimit(RLIMIT_NICE, &limit) < 0)
		return false;
	return (rlim_t)(20 - settings->nice) > limit.rlim_cur;
}

int crew__confine_allowed(
	const struct crew__service_settings *settings, char *ret_error, size_t error_size)
{
	struct crew__caps caps;
	int status = crew__caps_get(&caps);
	if (status < 0) {
		snprintf(ret_error, error_size, "cannot read this process's capabilities: %s",
			strerror(-status));
		return status;
	}
	if (settings->chroot && !has(&caps, CAP_SYS_CHROOT))
		return refuse(settings, "chroot", "only root can do that; start it as root",
			ret_error, error_size);
	if (raises_descriptors(settings) && !has(&caps, CAP_SYS_RESOURCE))
		return refuse(settings, "limit_nofile",
			"this is above the hard limit, which only root can raise (ulimit -Hn, or "
			"LimitNOFILE= of systemd)",
			ret_error, error_size);
	if (is_too_nice(settings) && !has(&caps, CAP_SYS_NICE))
		return refuse(settings, "nice",
			"only root can go before others; write a larger one", ret_error,
			error_size);
	return check_kept(settings, &caps, ret_error, error_size);
}

/* What a worker gives up, step by step, in a process for each case. What root gives up only root
 * can show; everybody else shows that they are told so. */
#include "proc/confine.h"

#include "proc/caps.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	NOBODY = 65534,
	FINE = 40,    /* what a child exits with when all was as it should be */
	WRONG_AT = 50 /* ... or this and the number of what was not */
};

static const crew_service service = { .name = "web" };
static char error[512];

static struct crew__service_settings plain(void)
{
	return (struct crew__service_settings){
		.service = &service,
		.no_new_privs = true,
		.umask = CREW__UNCHANGED,
		.limit_core = CREW__UNCHANGED,
		.nice = CREW__UNCHANGED,
		.oom_score_adj = CREW__UNCHANGED,
	};
}

static int confine(struct crew__service_settings settings, unsigned id)
{
	struct crew__identity identity;
	int status = crew__identity_find(&settings, &identity, error, sizeof(error));
	return status < 0 ? status
			  : crew__confine(&settings, &identity, id, id, error, sizeof(error));
}

/* The wait status of a process that runs `fn`, which returns the number of what was wrong, or 0. */
static int run(int (*fn)(void))
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		int wrong = fn();
		if (wrong)
			fprintf(stderr, "wrong: %d; %s\n", wrong, error);
		_exit(wrong ? WRONG_AT + wrong : FINE);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void is_fine(int (*fn)(void))
{
	int status = run(fn);
	if (geteuid() != 0)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), FINE);
}

/* ---- users and capabilities ---------------------------------------------------------------- */

static int leave_root(void)
{
	struct crew__service_settings settings = plain();
	static char user[] = "nobody";
	gid_t groups[64];
	struct crew__caps caps;
	settings.user = user;
	if (setgroups(3, (gid_t[]){ 0, 4, 27 }) < 0 || confine(settings, 0) < 0)
		return 1;
	if (getuid() != NOBODY || geteuid() != NOBODY || (int)setfsuid((uid_t)-1) != NOBODY)
		return 2;
	int count = getgroups((int)crew__lengthof(groups), groups);
	for (int i = 0; i < count; i++)
		if (groups[i] == 0 || groups[i] == 4 || groups[i] == 27)
			return 3;
	if (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0 || setgroups(0, NULL) == 0)
		return 4;
	if (crew__caps_get(&caps) < 0 || caps.permitted || caps.effective || caps.inheritable)
		return 5;
	for (unsigned long i = 0; i < 41; i++)
		if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
			return 6;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 7;
}

static void who_changes_user_keeps_nothing(void **state)
{
	(void)state;
	is_fine(leave_root);
}

static int keep_one(void)
{
	struct crew__service_settings settings = plain();
	static char user[] = "nobody", capabilities[] = "net_raw";
	struct crew__caps caps;
	uint64_t raw = UINT64_C(1) << CAP_NET_RAW;
	settings.user = user;
	settings.capabilities = capabilities;
	if (confine(settings, 0) < 0)
		return 1;
	if (crew__caps_get(&caps) < 0 || caps.permitted != raw || caps.effective != raw ||
		caps.inheritable != 0)
		return 2;
	if (prctl(PR_CAPBSET_READ, (unsigned long)CAP_NET_RAW, 0, 0, 0) != 1 ||
		prctl(PR_CAPBSET_READ, (unsigned long)CAP_SETUID, 0, 0, 0) != 0)
		return 3;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, (unsigned long)CAP_NET_RAW, 0, 0) != 0)
		return 4;
	return crew__caps_keep(raw | UINT64_C(1) << CAP_SETUID) < 0 ? 0 : 5;
}

static void what_is_named_is_kept_and_no_more(void **state)
{
	(void)state;
	is_fine(keep_one);
}

static int root_without_power(void)
{
	struct crew__service_settings settings = plain();
	static char none[] = "none";
	struct crew__caps caps;
	settings.capabilities = none;
	if (confine(settings, 0) < 0 || getuid() != 0)
		return 1;
	if (crew__caps_get(&caps) < 0 || caps.permitted != 0)
		return 2;
	/* What it executes gets nothing back either. */
	return system("grep -q '^CapPrm:.0000000000000000' /proc/self/status") == 0 ? 0 : 3;
}

static void root_can_be_without_power(void **state)
{
	(void)state;
	is_fine(root_without_power);
}

static int programs_may_gain(void)
{
	struct crew__service_settings settings = plain();
	static char user[] = "nobody";
	settings.user = user;
	settings.no_new_privs = false;
	if (confine(settings, 0) < 0)
		return 1;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 0)
		return 2;
	return prctl(PR_CAPBSET_READ, (unsigned long)CAP_CHOWN, 0, 0, 0) == 1 ? 0 : 3;
}

static void programs_gain_privileges_where_that_is_allowed(void **state)
{
	(void)state;
	is_fine(programs_may_gain);
}

/* A group that is left behind must not go unnoticed. */
static int groups_that_stay(void)
{
	const struct crew__identity identity = {
		.changes = true, .user = NULL, .uid = 0, .gid = 12
	};
	gid_t groups[64];
	if (setgroups(2, (gid_t[]){ 0, 4 }) < 0 || crew__identity_take_groups(&identity) < 0)
		return 1;
	int count = getgroups((int)crew__lengthof(groups), groups);
	if (count != 1 || groups[0] != 12 || getegid() != 12)
		return 2;
	const struct crew__identity other = { .changes = true, .uid = 77, .gid = 12 };
	return crew__identity_is_for_good(&other, false) ? 3 : 0;
}

static void a_group_without_a_user_is_the_only_one(void **state)
{
	(void)state;
	is_fine(groups_that_stay);
}

/* The saved id is a way back, and is seen. */
static int half_changed(void)
{
	const struct crew__identity identity = { .changes = true, .uid = NOBODY, .gid = NOBODY };
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
		setresuid(NOBODY, NOBODY, 0) < 0)
		return 1;
	return crew__identity_is_for_good(&identity, false) ? 2 : 0;
}

static void a_way_back_is_seen(void **state)
{
	(void)state;
	is_fine(half_changed);
}

/* ---- limits and priority ------------------------------------------------------------------- */

static bool limit_is(int resource, rlim_t most)
{
	struct rlimit limit;
	return getrlimit((__rlimit_resource_t)resource, &limit) == 0 && limit.rlim_cur == most &&
	       limit.rlim_max == most;
}

static int limited(void)
{
	struct crew__service_settings settings = plain();
	settings.umask = 027;
	settings.limit_nofile = 100;
	settings.limit_core = 0;
	settings.limit_memory = INT64_C(1) << 48; /* a sanitizer maps much */
	settings.nice = getpriority(PRIO_PROCESS, 0) + 1;
	if (confine(settings, 0) < 0)
		return 1;
	if (umask(0) != 027)
		return 2;
	if (!limit_is(RLIMIT_NOFILE, 100) || !limit_is(RLIMIT_CORE, 0) ||
		!limit_is(RLIMIT_DATA, (rlim_t)1 << 48))
		return 3;
	return getpriority(PRIO_PROCESS, 0) == settings.nice ? 0 : 4;
}

static void limits_hold(void **state)
{
	(void)state;
	is_fine(limited);
}

static int pinned(void)
{
	struct crew__service_settings settings = plain();
	static char automatic[] = "auto";
	cpu_set_t usable, set;
	settings.cpu_affinity = automatic;
	if (sched_getaffinity(0, sizeof(usable), &usable) < 0 || confine(settings, 1) < 0 ||
		sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return CPU_COUNT(&set) == 1 && (CPU_AND(&set, &set, &usable), CPU_COUNT(&set) == 1) ? 0 : 2;
}

static int scored(void)
{
	struct crew__service_settings settings = plain();
	char text[16] = "";
	settings.oom_score_adj = 321;
	if (confine(settings, 0) < 0)
		return 1;
	int fd = open("/proc/self/oom_score_adj", O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return 2;
	return atoi(text) == 321 ? 0 : 3;
}

static void priorities_hold(void **state)
{
	(void)state;
	is_fine(pinned);
	is_fine(scored);
}

static int rooted(void)
{
	struct crew__service_settings settings = plain();
	static char root[] = "/usr", user[] = "nobody";
	char uploads[] = "/usr/share";
	settings.chroot = root;
	settings.upload_dir = uploads;
	settings.user = user;
	if (confine(settings, 0) < 0)
		return 1;
	if (access("/bin", F_OK) < 0 || access("/etc/passwd", F_OK) == 0)
		return 2;
	return strcmp(uploads, "/share") == 0 ? 0 : 3;
}

static void another_root(void **state)
{
	(void)state;
	is_fine(rooted);
}

/* ---- system calls -------------------------------------------------------------------------- */

static int refused(void)
{
	struct crew__service_settings settings = plain();
	settings.seccomp = CREW__SECCOMP_DEFAULT;
	if (confine(settings, 0) < 0)
		return 1;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 || errno != EPERM)
		return 2;
	if (mount("x", "/proc", "tmpfs", 0, NULL) == 0 || errno != EPERM)
		return 3;
	if (unshare(CLONE_NEWUSER) == 0 || errno != EPERM)
		return 4;
	if (syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0) >= 0 || errno != EPERM)
		return 5;
	if (syscall(SYS_clone3, NULL, 0) >= 0 || errno != ENOSYS)
		return 6;
	if (syscall(SYS_bpf, 0, NULL, 0) >= 0 || errno != EPERM)
		return 7;
	if (syscall(SYS_keyctl, 0, 0, 0, 0, 0) >= 0 || errno != EPERM)
		return 8;
	/* TIOCSTI, on what is no terminal: the filter answers before the driver. */
	if (syscall(SYS_ioctl, STDERR_FILENO, 0x5412, "x") >= 0 || errno != EPERM)
		return 9;
	/* What a service does need still works: processes, files, pipes. */
	int pipes[2];
	pid_t pid = fork();
	if (pid == 0)
		_exit(access("/", R_OK) < 0);
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0 || pipe(pipes) < 0)
		return 10;
	return 0;
}

static void calls_are_refused(void **state)
{
	(void)state;
	is_fine(refused);
}

static int killed(void)
{
	struct crew__service_settings settings = plain();
	settings.seccomp = CREW__SECCOMP_DEFAULT;
	settings.seccomp_action = CREW__SECCOMP_KILL;
	settings.limit_core = 0;
	if (confine(settings, 0) < 0)
		return 1;
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	return 2;
}

static int logged(void)
{
	struct crew__service_settings settings = plain();
	settings.seccomp = CREW__SECCOMP_DEFAULT;
	settings.seccomp_action = CREW__SECCOMP_LOG;
	if (confine(settings, 0) < 0)
		return 1;
	return syscall(SYS_bpf, -1, NULL, 0) < 0 && (errno == EINVAL || errno == E2BIG ||
							    errno == EPERM || errno == EFAULT)
		       ? 0
		       : 2;
}

static void calls_kill_or_are_logged(void **state)
{
	(void)state;
	int status = run(killed);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
	is_fine(logged);
}

/* ---- what cannot be ------------------------------------------------------------------------ */

static int cannot(void)
{
	struct crew__service_settings settings = plain();
	static char nowhere[] = "/nowhere/at/all";
	settings.chroot = nowhere;
	if (confine(settings, 0) == 0 || !strstr(error, "web.chroot cannot be carried out"))
		return 1;
	return 0;
}

static void what_fails_is_named(void **state)
{
	(void)state;
	is_fine(cannot);
}

static int as_somebody(void)
{
	static char raw[] = "net_raw sys_time", root[] = "/usr";
	struct rlimit limit = { 50, 50 };
	if (geteuid() == 0 &&
		(setrlimit(RLIMIT_NOFILE, &limit) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
			setresuid(NOBODY, NOBODY, NOBODY) < 0))
		return 1;
	struct crew__service_settings settings = plain();
	if (crew__confine_allowed(&settings, error, sizeof(error)) != 0)
		return 2;
	settings.capabilities = raw;
	if (crew__confine_allowed(&settings, error, sizeof(error)) != -EPERM ||
		!strstr(error, "web.capabilities: this process has no net_raw sys_time"))
		return 3;
	settings = plain();
	settings.chroot = root;
	if (crew__confine_allowed(&settings, error, sizeof(error)) != -EPERM ||
		!strstr(error, "web.chroot"))
		return 4;
	settings = plain();
	settings.nice = -20;
	if (crew__confine_allowed(&settings, error, sizeof(error)) != -EPERM ||
		!strstr(error, "web.nice"))
		return 5;
	settings = plain();
	settings.limit_nofile = INT64_C(1) << 30;
	if (crew__confine_allowed(&settings, error, sizeof(error)) != -EPERM ||
		!strstr(error, "web.limit_nofile"))
		return 6;
	return 0;
}

static void others_than_root_are_told_beforehand(void **state)
{
	(void)state;
	int status = run(as_somebody);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), FINE);
}

static void places_go_on_from_service_to_service(void **state)
{
	(void)state;
	struct crew__settings settings = { .services = 3 };
	settings.service[0].workers = 2;
	settings.service[1].workers = 3;
	assert_int_equal(crew__confine_place(&settings, &settings.service[0], 1), 1);
	assert_int_equal(crew__confine_place(&settings, &settings.service[1], 0), 2);
	assert_int_equal(crew__confine_place(&settings, &settings.service[2], 4), 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_changes_user_keeps_nothing),
		cmocka_unit_test(what_is_named_is_kept_and_no_more),
		cmocka_unit_test(root_can_be_without_power),
		cmocka_unit_test(programs_gain_privileges_where_that_is_allowed),
		cmocka_unit_test(a_group_without_a_user_is_the_only_one),
		cmocka_unit_test(a_way_back_is_seen),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(priorities_hold),
		cmocka_unit_test(another_root),
		cmocka_unit_test(calls_are_refused),
		cmocka_unit_test(calls_kill_or_are_logged),
		cmocka_unit_test(what_fails_is_named),
		cmocka_unit_test(others_than_root_are_told_beforehand),
		cmocka_unit_test(places_go_on_from_service_to_service),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* crash.c - a program that dies on command, in functions whose names the tests look for. Lines over
 * text; what does not end the worker is answered.
 *
 *   pid               who answers
 *   null              writes to address 8, two calls deep
 *   jump              calls address 16, where no function is
 *   bus               reads behind the end of a mapped file
 *   divide            by zero
 *   illegal           an instruction that is none
 *   abort             abort()
 *   forbidden         a system call that a filter of its own forbids (SIGSYS)
 *   overflow          calls itself until the stack is full
 *   smash             writes over its own stack, then a fault: nobody can walk that stack
 *   thread            a thread of its own writes to address 8
 *   forked            a child that it forks writes to address 8; the worker goes on: "lives"
 *   exit N            with that status
 *   sleep MS, spin MS stands still in the kernel, or in its own code; then "done"
 *   blocked MS        as spin, with SIGURG blocked
 *   ignore MS         as spin, with SIGABRT ignored
 *   many MS           answers; each of these takes so long
 *
 * CRASH_OWN_HANDLER in the environment: a SIGSEGV handler of the program's own, which exits with
 * status 42, set before crew knows anything. [app] young_ms: dies of SIGABRT so long after its
 * start, while the file [app] hold_file exists if there is one. [app] start_ms: on_worker_start
 * takes so long. */
#define _GNU_SOURCE
#include <crew/crew.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Whatever the optimiser thinks of code that cannot work. */
#if defined(__clang__)
#define AS_WRITTEN __attribute__((noinline, optnone))
#else
#define AS_WRITTEN __attribute__((noinline, noclone, optimize("O0")))
#endif
#define UNCHECKED __attribute__((no_sanitize("address", "undefined")))

static volatile uintptr_t nowhere = 8;
static volatile int zero;

AS_WRITTEN UNCHECKED static void write_nowhere(void)
{
	*(volatile int *)nowhere = 1;
}

AS_WRITTEN UNCHECKED static void call_write_nowhere(void)
{
	write_nowhere();
	zero = 0;
}

AS_WRITTEN UNCHECKED static void jump_nowhere(void)
{
	void (*volatile fn)(void) = (void (*)(void))(nowhere * 2);
	fn();
	zero = 0;
}

AS_WRITTEN UNCHECKED static void read_cut_file(void)
{
	int fd = memfd_create("cut", MFD_CLOEXEC);
	if (ftruncate(fd, 4096) < 0)
		exit(1);
	volatile char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	if (ftruncate(fd, 0) < 0)
		exit(1);
	zero = map[0];
}

AS_WRITTEN UNCHECKED static void divide_by_zero(void)
{
#if defined(__x86_64__)
	zero = 100 / zero;
#else
	raise(SIGFPE); /* other machines have an answer to that */
#endif
}

AS_WRITTEN static void do_illegal(void)
{
	__builtin_trap();
}

AS_WRITTEN static void give_up(void)
{
	abort();
}

AS_WRITTEN static void do_forbidden(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = filter };
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		exit(1);
	syscall(SYS_getppid);
}

AS_WRITTEN UNCHECKED static int call_for_ever(int depth)
{
	volatile char room[4096];
	room[0] = (char)depth;
	return zero ? 0 : call_for_ever(depth + 1) + room[0];
}

AS_WRITTEN UNCHECKED static void smash_stack(void)
{
	/* Upwards over the frames of all callers, a good part of the way to the stack's top. */
	volatile uintptr_t *at = (volatile uintptr_t *)__builtin_frame_address(0);
	for (size_t i = 0; i < 512; i++)
		at[i] = 0x4141414141414141u;
	write_nowhere();
}

static void *die_in_thread(void *arg)
{
	(void)arg;
	call_write_nowhere();
	return NULL;
}

static void start_thread(void)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, die_in_thread, NULL) == 0)
		pthread_join(thread, NULL);
}

static void fork_and_die(crew_conn *c)
{
	pid_t pid = fork();
	int status = 0;
	if (pid == 0)
		call_write_nowhere();
	waitpid(pid, &status, 0);
	crew_send(c, WIFSIGNALED(status) ? CREW_BYTES("lives") : CREW_BYTES("its child as well"));
}

/* ---- standing still ---- */

static long long now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

AS_WRITTEN static void spin_around(long ms)
{
	long long until = now_ms() + ms;
	while (now_ms() < until)
		zero = 0;
}

AS_WRITTEN static void sleep_in_kernel(long ms)
{
	long long until = now_ms() + ms;
	while (now_ms() < until)
		usleep((useconds_t)(until - now_ms()) * 1000);
}

static void spin_blocked(long ms)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGURG);
	sigprocmask(SIG_BLOCK, &set, NULL);
	spin_around(ms);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- the service ---- */

static const struct {
	const char *word;
	void (*fn)(void);
} deaths[] = {
	{ "null", call_write_nowhere },
	{ "jump", jump_nowhere },
	{ "bus", read_cut_file },
	{ "divide", divide_by_zero },
	{ "illegal", do_illegal },
	{ "abort", give_up },
	{ "forbidden", do_forbidden },
	{ "smash", smash_stack },
	{ "thread", start_thread },
};

static bool stand_still(const char *text)
{
	long ms;
	if (sscanf(text, "sleep %ld", &ms) == 1)
		sleep_in_kernel(ms);
	else if (sscanf(text, "spin %ld", &ms) == 1 || sscanf(text, "many %ld", &ms) == 1)
		spin_around(ms);
	else if (sscanf(text, "blocked %ld", &ms) == 1)
		spin_blocked(ms);
	else if (sscanf(text, "ignore %ld", &ms) == 1 && signal(SIGABRT, SIG_IGN) != SIG_ERR)
		spin_around(ms);
	else
		return false;
	return true;
}

static void on_message(crew_conn *c, crew_msg msg)
{
	char text[64];
	int status;
	snprintf(text, sizeof(text), "%.*s", (int)msg.body.len, msg.body.data);
	for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++)
		if (strcmp(text, deaths[i].word) == 0)
			deaths[i].fn();
	if (strcmp(text, "overflow") == 0)
		zero = call_for_ever(0);
	if (sscanf(text, "exit %d", &status) == 1)
		_exit(status);
	if (strcmp(text, "forked") == 0)
		fork_and_die(c);
	else if (strcmp(text, "pid") == 0)
		crew_send(c,
			(crew_bytes){ text, (size_t)snprintf(text, sizeof(text), "%d", getpid()) });
	else
		crew_send(c, stand_still(text) ? CREW_BYTES("done") : CREW_BYTES("what?"));
}

static void die_young(crew_worker *w, void *arg)
{
	const char *file = crew_setting("hold_file", NULL);
	(void)w;
	(void)arg;
	if (!file || access(file, F_OK) == 0)
		give_up();
}

static int on_worker_start(crew_worker *w)
{
	long ms = atol(crew_setting("start_ms", "0"));
	if (ms > 0)
		sleep_in_kernel(ms);
	ms = atol(crew_setting("young_ms", "0"));
	if (ms > 0)
		crew_timer_every(w, (uint64_t)ms, die_young, NULL);
	return 0;
}

static void exit_by_handler(int signo)
{
	(void)signo;
	_exit(42);
}

int main(int argc, char **argv)
{
	static const crew_service crash = {
		.name = "crash",
		.listen = "text://127.0.0.1:7600",
		.on_message = on_message,
		.on_worker_start = on_worker_start,
	};
	if (getenv("CRASH_OWN_HANDLER"))
		signal(SIGSEGV, exit_by_handler);
	return crew_main(argc, argv, &(crew_app){ .services = { &crash } });
}

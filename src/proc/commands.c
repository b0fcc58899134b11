/* commands.c - `stop`, `reload` and `restart`: asking a running master, and telling the truth of
 * what came of it.
 *
 * Whoever waits is told for whom. A restart has checked all it can and holds copies of the
 * listening sockets before the running program is told to stop, so that nobody is refused in
 * between.
 *
 * A master that does not answer is told by a signal, through a pidfd that cannot hit anybody else;
 * one that does not end within its bound is killed, and the workers it leaves as well. */
#include "proc/run.h"

#include "base/clock.h"
#include "proc/daemon.h"
#include "proc/endpoint.h"
#include "proc/master.h"
#include "proc/pidfile.h"
#include "proc/survivors.h"
#include "proc/takeover.h"
#include "proc/wire.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	EXIT_DONE,
	EXIT_FAILED,
	EXIT_NOT_RUNNING = 3,
	ANSWER_MS = 1000,
	RELOAD_ANSWER_MS = 10000, /* it reads the settings first */
	PATIENCE_MS = 1000,       /* then it is said what is waited for */
	LOOK_MS = 250,            /* between two looks at who is waited for */
	LOCK_MS = 1000,
};

static const char not_allowed[] =
	"its control socket is closed to this user; be root or the user it runs as";

static int complain(const struct crew__settings *settings, const char *text, int exit_status)
{
	fprintf(stderr, "%s: %s\n", settings->name, text);
	return exit_status;
}

static int not_running(const struct crew__settings *settings, int error)
{
	char text[512];
	if (error == -ESRCH)
		snprintf(text, sizeof(text),
			"not running (run directory %s); start it with `start`", settings->run_dir);
	else if (error == -EAGAIN)
		snprintf(text, sizeof(text),
			"%s/%s.pid is locked, but names no running process; if it is just being started, "
			"try again",
			settings->run_dir, settings->name);
	else
		snprintf(text, sizeof(text), "cannot read %s/%s.pid: %s", settings->run_dir,
			settings->name, strerror(-error));
	return complain(settings, text, error == -ESRCH ? EXIT_NOT_RUNNING : EXIT_FAILED);
}

static uint64_t after_ms(uint64_t ms)
{
	return crew__clock_ns() + ms * CREW__NS_PER_MS;
}

/* Ask, and wait for the answer: 1 with a message, 0 or a negative errno without. `take_talk` is a
 * conversation that has begun, or -1. `ret_fd` stays open when it is 1. */
static int ask(const struct crew__settings *settings, int take_talk, unsigned type, bool graceful,
	uint64_t wait_ms, struct crew__message *ret_message, int *ret_fd)
{
	int fd = take_talk >= 0 ? take_talk
				: crew__endpoint_connect(settings->run_dir, settings->name);
	if (fd < 0)
		return fd;
	const struct crew__command command = { .graceful = graceful };
	int got = crew__wire_send(fd, type, &command, sizeof(command), NULL, 0);
	if (got == 0)
		got = crew__wire_await(fd, ret_message, after_ms(wait_ms));
	if (got == 1) {
		crew__message_release(ret_message);
		*ret_fd = fd;
	} else {
		close(fd);
	}
	return got;
}

static bool read_bound(const struct crew__message *message, uint64_t *ret_bound_ms)
{
	struct crew__accepted accepted;
	if (message->type != CREW__MSG_ACCEPTED || message->length != sizeof(accepted))
		return false;
	memcpy(&accepted, message->payload, sizeof(accepted));
	*ret_bound_ms = accepted.bound_ms;
	return true;
}

/* ---- stop ---------------------------------------------------------------------------------- */

/* True when the process has ended within `ms`. */
static bool wait_for_end(int pidfd, uint64_t ms)
{
	uint64_t deadline = after_ms(ms);
	for (;;) {
		uint64_t now = crew__clock_ns();
		uint64_t left = now < deadline ? (deadline - now) / CREW__NS_PER_MS + 1 : 0;
		struct pollfd ended = { .fd = pidfd, .events = POLLIN };
		int ready = poll(&ended, 1, left > INT32_MAX ? INT32_MAX : (int)left);
		if (ready > 0)
			return true;
		if (ready == 0 && left <= INT32_MAX)
			return false;
	}
}

/* The order, by the control socket or by signal. 0; else the exit status, with a line printed. */
static int order_stop(const struct crew__settings *settings, int take_talk, bool graceful,
	int pidfd, const struct crew__running *running, uint64_t *ret_bound_ms)
{
	static struct crew__message message; /* large; one at a time */
	int fd;
	int got = ask(settings, take_talk, CREW__MSG_STOP_ALL, graceful, ANSWER_MS, &message, &fd);
	if (got == 1) {
		close(fd);
		if (read_bound(&message, ret_bound_ms))
			return EXIT_DONE;
		if (message.type == CREW__MSG_REFUSED)
			return complain(settings, message.payload, EXIT_FAILED);
	}
	if (wait_for_end(pidfd, 0))
		return EXIT_DONE;
	if (got == -EACCES)
		return complain(settings, not_allowed, EXIT_FAILED);
	*ret_bound_ms = crew__stop_bound_ms(settings, graceful);
	char text[256];
	snprintf(text, sizeof(text), "the master (pid %d) does not answer; it is sent %s",
		(int)running->pid, graceful ? "SIGQUIT" : "SIGTERM");
	complain(settings, text, EXIT_DONE);
	if (syscall(SYS_pidfd_send_signal, pidfd, graceful ? SIGQUIT : SIGTERM, NULL, 0) == 0 ||
		errno == ESRCH)
		return EXIT_DONE;
	snprintf(text, sizeof(text), "cannot signal pid %d: %s; stop it as root or as its own user",
		(int)running->pid, strerror(errno));
	return complain(settings, text, EXIT_FAILED);
}

/* It had its time. */
static int kill_master(
	const struct crew__settings *settings, int pidfd, const struct crew__running *running)
{
	char text[256];
	struct crew__survivors workers;
	crew__survivors_find(&workers, running);
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH) {
		snprintf(text, sizeof(text), "the master (pid %d) hangs and cannot be killed: %s",
			(int)running->pid, strerror(errno));
		crew__survivors_forget(&workers);
		return complain(settings, text, EXIT_FAILED);
	}
	wait_for_end(pidfd, LOCK_MS);
	unsigned killed = crew__survivors_end(&workers);
	snprintf(text, sizeof(text),
		"the master (pid %d) did not end in its time and was killed, with %u of its workers",
		(int)running->pid, killed);
	complain(settings, text, EXIT_DONE);
	return EXIT_DONE;
}

static void tell(
	const struct crew__run_options *options, enum crew__awaited awaited, uint64_t deadline_ns)
{
	uint64_t now = crew__clock_ns();
	if (options->progress && !options->quiet)
		options->progress(options->progress_arg, awaited,
			deadline_ns > now ? (deadline_ns - now) / CREW__NS_PER_MS : 0);
}

static int await_stop(const struct crew__settings *settings,
	const struct crew__run_options *options, int pidfd, const struct crew__running *running,
	uint64_t bound_ms)
{
	uint64_t deadline = after_ms(bound_ms), said_at = after_ms(PATIENCE_MS);
	bool said = false, ended = false;
	while (!ended && crew__clock_ns() < deadline) {
		uint64_t left = (deadline - crew__clock_ns()) / CREW__NS_PER_MS + 1;
		ended = wait_for_end(pidfd, crew__min(left, LOOK_MS));
		if (!ended && !said && crew__clock_ns() >= said_at) {
			fprintf(stderr,
				"%s: waiting for the master (pid %d) and its workers to end, at most "
				"%" PRIu64 " s\n",
				settings->name, (int)running->pid, (bound_ms + 999) / 1000);
			said = true;
		}
		if (!ended && said)
			tell(options, CREW__AWAITED_STOP, deadline);
	}
	tell(options, CREW__AWAITED_OVER, deadline);
	return ended ? EXIT_DONE : kill_master(settings, pidfd, running);
}

/* In the conversation `take_talk`, or, with -1, in one of its own. */
static int stop_in(
	struct crew__settings *settings, const struct crew__run_options *options, int take_talk)
{
	struct crew__running running;
	int pidfd = crew__pidfile_pidfd(settings->run_dir, settings->name, &running);
	if (pidfd < 0) {
		if (take_talk >= 0)
			close(take_talk);
		return not_running(settings, pidfd);
	}
	uint64_t bound_ms = 0;
	int status = order_stop(settings, take_talk, options->graceful, pidfd, &running, &bound_ms);
	if (status == EXIT_DONE)
		status = await_stop(settings, options, pidfd, &running, bound_ms);
	close(pidfd);
	if (status == EXIT_DONE && !options->quiet)
		printf("%s has stopped.\n", settings->name);
	return status;
}

int crew__run_stop(struct crew__settings *settings, const struct crew__run_options *options)
{
	return stop_in(settings, options, -1);
}

/* ---- restart ------------------------------------------------------------------------------- */

/* What can be known before anything is stopped. */
static int check_first(struct crew__settings *settings, const struct crew__run_options *options)
{
	char why[1024], text[1200];
	if (crew__start_check_users(settings, options->single, why, sizeof(why)) == 0 &&
		crew__tls_check_all(settings, why, sizeof(why)) == 0)
		return EXIT_DONE;
	snprintf(text, sizeof(text), "not restarted, what runs goes on: %s", why);
	return complain(settings, text, EXIT_FAILED);
}

static int replace(struct crew__settings *settings, const struct crew__run_options *options,
	struct crew__inherited *inherited)
{
	char why[512], text[700];
	int talk = -1;
	if (crew__takeover(settings, inherited, &talk, why, sizeof(why)) < 0) {
		snprintf(text, sizeof(text),
			"its listening sockets cannot be taken over (%s): until it runs again, "
			"connections are refused",
			why);
		complain(settings, text, EXIT_DONE);
	}
	return stop_in(settings, options, talk);
}

int crew__run_restart(struct crew__settings *settings, const struct crew__run_options *options)
{
	struct crew__running running;
	struct crew__inherited inherited;
	crew__standard_fds_open();
	crew__inherited_init(&inherited, "the program that ran before");
	int status = EXIT_DONE;
	if (crew__pidfile_read(settings->run_dir, settings->name, &running) != -ESRCH) {
		status = check_first(settings, options);
		if (status == EXIT_DONE)
			status = replace(settings, options, &inherited);
	}
	if (status != EXIT_DONE && status != EXIT_NOT_RUNNING) {
		crew__inherited_fini(&inherited, true);
		return status;
	}
	return crew__run_start_with(settings, options, &inherited);
}

/* ---- reload -------------------------------------------------------------------------------- */

static int await_reload(const struct crew__settings *settings,
	const struct crew__run_options *options, int fd, uint64_t bound_ms)
{
	static struct crew__message message; /* large; one at a time */
	char text[128];
	uint64_t deadline = after_ms(bound_ms);
	int got = -ETIMEDOUT;
	while (got == -ETIMEDOUT && crew__clock_ns() < deadline) {
		got = crew__wire_await(fd, &message, crew__min(deadline, after_ms(LOOK_MS)));
		if (got == -ETIMEDOUT)
			tell(options, CREW__AWAITED_RELOAD, deadline);
	}
	tell(options, CREW__AWAITED_OVER, deadline);
	if (got == -ETIMEDOUT) {
		snprintf(text, sizeof(text),
			"the reload is not over after %" PRIu64 " s; see the log", bound_ms / 1000);
		return complain(settings, text, EXIT_FAILED);
	}
	int32_t exit_status;
	if (got != 1 || message.type != CREW__MSG_DONE || message.length < sizeof(exit_status))
		return complain(settings,
			"the master ended before the reload was done; see the log", EXIT_FAILED);
	crew__message_release(&message);
	memcpy(&exit_status, message.payload, sizeof(exit_status));
	const char *sentence = message.payload + sizeof(exit_status);
	if (exit_status != 0)
		return complain(settings, sentence, EXIT_FAILED);
	if (!options->quiet)
		printf("%s: %s\n", settings->name, sentence);
	return EXIT_DONE;
}

static const char *why_no_answer(int got)
{
	if (got == 0)
		return "it closed the conversation";
	return got == -ETIMEDOUT ? "nothing came for 10 s" : strerror(-got);
}

int crew__run_reload(struct crew__settings *settings, const struct crew__run_options *options)
{
	static struct crew__message message; /* large; one at a time */
	struct crew__running running;
	int found = crew__pidfile_read(settings->run_dir, settings->name, &running);
	if (found < 0)
		return not_running(settings, found);
	int fd;
	int got = ask(
		settings, -1, CREW__MSG_RELOAD, options->graceful, RELOAD_ANSWER_MS, &message, &fd);
	if (got == -EACCES)
		return complain(settings, not_allowed, EXIT_FAILED);
	if (got != 1) {
		char text[256];
		snprintf(text, sizeof(text),
			"the master (pid %d) does not answer (%s); see `status`, or use restart",
			(int)running.pid, why_no_answer(got));
		return complain(settings, text, EXIT_FAILED);
	}
	uint64_t bound_ms;
	int status;
	if (!read_bound(&message, &bound_ms))
		status = complain(settings,
			message.type == CREW__MSG_REFUSED ? message.payload
							  : "the master's answer makes no sense",
			EXIT_FAILED);
	else if (options->no_wait)
		status = EXIT_DONE;
	else
		status = await_reload(settings, options, fd, bound_ms);
	close(fd);
	return status;
}

/* master_asked.c - what a master is asked for, by signals and by commands. */
#include "proc/master_parts.h"

#include "proc/signals.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* ---- signals ------------------------------------------------------------------------------- */

static void on_terminate(int signo, void *arg)
{
	struct crew__master *master = arg;
	enum crew__stop_level level = CREW__STOP_PLAIN;
	crew__log(CREW_INFO, "got SIG%s", sigabbrev_np(signo));
	if (master->state == CREW__MASTER_STOPPING && master->stop_level >= CREW__STOP_PLAIN)
		level = CREW__STOP_NOW;
	crew__master_stop(master, level);
}

static void on_quit(int signo, void *arg)
{
	(void)signo;
	crew__master_stop(arg, CREW__STOP_GRACEFUL);
}

static void on_hangup(int signo, void *arg)
{
	struct crew__master *master = arg;
	(void)signo;
	/* A terminal that is gone takes what runs in its foreground with it. */
	if (master->has_terminal && !isatty(STDIN_FILENO)) {
		crew__log(CREW_INFO, "the terminal is gone");
		crew__master_stop(master, CREW__STOP_PLAIN);
		return;
	}
	uint64_t bound_ms;
	char error[1024];
	if (crew__master_reload(master, false, &bound_ms, error, sizeof(error)) != -EBUSY)
		return;
	crew__log(CREW_WARN, "SIGHUP does nothing: %s", error);
	crew__herald_hangup(&master->herald);
}

void crew__master_hand_out_log(void *arg)
{
	struct crew__master *master = arg;
	struct crew__node *head = &master->family.children;
	for (struct crew__node *n = head->next, *after; n != head; n = after) {
		after = n->next;
		crew__child_reopen_log(crew__container_of(n, struct crew__child, node));
	}
}

const struct crew__settings *crew__master_settings(void *arg)
{
	return ((struct crew__master *)arg)->generation->settings;
}

static void on_reopen(int signo, void *arg)
{
	struct crew__master *master = arg;
	(void)signo;
	/* Failing, the old one stays; the workers may have logs of their own all the same. */
	if (crew__log_file_reopen(&master->log) == 0)
		crew__log(CREW_INFO, "log reopened");
	crew__master_hand_out_log(master);
}

int crew__master_watch_signals(struct crew__master *master)
{
	static const struct crew__signal_use uses[] = {
		{ SIGCHLD, crew__master_reap },
		{ SIGTERM, on_terminate },
		{ SIGINT, on_terminate },
		{ SIGQUIT, on_quit },
		{ SIGHUP, on_hangup },
		{ SIGUSR1, on_reopen },
	};
	return crew__signals_watch(master->loop, uses, crew__lengthof(uses), master);
}

/* ---- what commands ask for ----------------------------------------------------------------- */

static int stop_for_command(void *arg, bool graceful, uint64_t *ret_bound_ms)
{
	struct crew__master *master = arg;
	crew__master_stop(master, graceful ? CREW__STOP_GRACEFUL : CREW__STOP_PLAIN);
	graceful = master->stop_level == CREW__STOP_GRACEFUL;
	*ret_bound_ms = crew__stop_bound_ms(master->generation->settings, graceful);
	return 0;
}

static int reload_for_command(
	void *arg, bool graceful, uint64_t *ret_bound_ms, char *ret_error, size_t error_size)
{
	return crew__master_reload(arg, graceful, ret_bound_ms, ret_error, error_size);
}

static void kick_for_command(void *arg, const uint64_t *ids, size_t count, uid_t by,
	struct crew__handed_on *ret_handed_on)
{
	crew__master_kick(arg, ids, count, by, ret_handed_on);
}

static int set_for_command(void *arg, const char *text, uid_t by,
	struct crew__handed_on *ret_handed_on, char *ret_error, size_t error_size)
{
	return crew__master_set(arg, text, by, ret_handed_on, ret_error, error_size);
}

static int copy_sockets(void *arg, struct crew__inherited *inherited)
{
	struct crew__master *master = arg;
	return crew__listeners_copy(&master->generation->listeners,
		master->registry->directory.header->service, inherited);
}

static void leave_sockets(void *arg)
{
	struct crew__master *master = arg;
	crew__log(CREW_INFO, "the listening sockets go to the program that is started next");
	crew__listeners_leave(&master->generation->listeners);
	if (master->reload.next)
		crew__listeners_leave(&master->reload.next->listeners);
}

static struct crew__control_plan plan_control(
	struct crew__master *master, const struct crew__settings *settings)
{
	return (struct crew__control_plan){
		.loop = master->loop,
		.settings = settings,
		.registry = master->registry,
		.stop = stop_for_command,
		.sockets = copy_sockets,
		.leave_sockets = leave_sockets,
		.reload = reload_for_command,
		.kick = kick_for_command,
		.set = set_for_command,
		.arg = master,
	};
}

int crew__master_init_control(struct crew__master *master, const struct crew__settings *settings,
	char *ret_error, size_t error_size)
{
	const struct crew__control_plan plan = plan_control(master, settings);
	return crew__control_new(&plan, &master->control, ret_error, error_size);
}

int crew__master_resume_control(
	struct crew__master *master, const json_t *saved, char *ret_error, size_t error_size)
{
	const struct crew__control_plan plan = plan_control(master, master->generation->settings);
	return crew__control_resume(&plan, saved, &master->control, ret_error, error_size);
}

/* control.c - a program that does on command what a worker should not do: stand still, crash, exit,
 * refuse to start. The scenario tests speak to it in lines; each command gets one line back, but
 * for those that end the worker.
 *
 *   pid, id, gen, variant     who answers
 *   echo TEXT                 TEXT
 *   setting KEY, env NAME     what the worker sees
 *   counter NAME, total NAME  crew_worker_counter, crew_service_counter
 *   count N                   adds N to the program's own counter `counted`
 *   block MS                  stands still for so long, then "done"
 *   loop                      never comes back
 *   crash, exit N             ends by SIGSEGV, by exit status N
 *   recycle                   crew_worker_recycle
 *   grow MIB                  has so much more memory, and touches it
 *   tick, untick              starts a timer that never ends; stops it
 *   post N                    a thread posts N times; "in order" when they came so
 *   watch                     a pipe of our own, watched; "watched" when its byte came
 *
 * [app] fail_file: on_worker_start fails while that file exists. [app] hang_file: it never returns
 * while that file exists. [app] young_ms: exits with status 7 after that time. */
#include <crew/crew.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* control2.c is the same program with another number: what a reload puts in its place. */
#ifndef VARIANT
#define VARIANT 1
#endif

enum {
	COUNTED,
	TICKS
};

static void answer(crew_conn *c, const char *format, long long number)
{
	char text[64];
	int n = snprintf(text, sizeof(text), format, number);
	crew_send(c, (crew_bytes){ text, (size_t)n });
}

static bool file_exists(const char *path)
{
	return path && access(path, F_OK) == 0;
}

static void stand_still(long ms)
{
	uint64_t until = 0;
	struct timespec now;
	do {
		clock_gettime(CLOCK_MONOTONIC, &now);
		uint64_t ms_now = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
		if (!until)
			until = ms_now + (uint64_t)ms;
		if (ms_now >= until)
			return;
	} while (true);
}

static void loop_for_ever(void)
{
	volatile unsigned long turns = 0;
	while (true)
		turns++;
}

static void crash(void)
{
	/* Without the sanitizers' handler: the point is the signal, not their report. */
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
}

/* It stays, for whoever watches what a worker has. */
static void grow(crew_conn *c, long mib)
{
	static char *held;
	size_t size = (size_t)mib << 20;
	free(held);
	held = malloc(size);
	if (held)
		memset(held, 1, size);
	answer(c, "%lld", held ? mib : -1);
}

/* ---- timers, posts, watches ---- */

static int64_t ticking;

static void tick(crew_worker *w, void *arg)
{
	(void)arg;
	crew_count(w, TICKS, 1);
}

static void start_ticking(crew_conn *c)
{
	if (!ticking)
		ticking = crew_timer_every(crew_worker_of(c), 5, tick, NULL);
	answer(c, "%lld", ticking > 0);
}

static void stop_ticking(crew_conn *c)
{
	int rc = crew_timer_stop(ticking);
	ticking = 0;
	answer(c, "%lld", rc);
}

struct posts {
	crew_worker *worker;
	uint64_t id;
	long number, next;
	bool in_order;
};

struct post {
	struct posts *all;
	long number;
};

static void take_post(crew_worker *w, void *arg)
{
	(void)w;
	struct post *post = arg;
	struct posts *all = post->all;
	all->in_order = all->in_order && post->number == all->next;
	all->next++;
	free(post);
	if (all->next < all->number)
		return;
	crew_send(crew_find(all->id),
		all->in_order ? CREW_BYTES("in order") : CREW_BYTES("disorder"));
	free(all);
}

static void *post_all(void *arg)
{
	struct posts *all = arg;
	long number = all->number; /* `all` is gone once the last one was taken */
	crew_worker *worker = all->worker;
	for (long i = 0; i < number; i++) {
		struct post *post = malloc(sizeof(*post));
		*post = (struct post){ .all = all, .number = i };
		if (crew_post(worker, take_post, post))
			abort();
	}
	return NULL;
}

static void start_posting(crew_conn *c, long number)
{
	struct posts *all = malloc(sizeof(*all));
	*all = (struct posts){
		.worker = crew_worker_of(c), .id = crew_id(c), .number = number, .in_order = true
	};
	pthread_t thread;
	if (pthread_create(&thread, NULL, post_all, all))
		abort();
	pthread_detach(thread);
}

static int watched[2];
static uint64_t watcher;

static void on_pipe(int fd, unsigned events, void *arg)
{
	(void)arg;
	char byte;
	ssize_t n = (events & CREW_READ) ? read(fd, &byte, 1) : -1;
	int rc = crew_watch(fd, 0, NULL, NULL);
	close(watched[0]);
	close(watched[1]);
	crew_send(crew_find(watcher), n == 1 && !rc ? CREW_BYTES("watched") : CREW_BYTES("not"));
}

static void start_watching(crew_conn *c)
{
	watcher = crew_id(c);
	if (pipe(watched) || crew_watch(watched[0], CREW_READ, on_pipe, NULL) ||
		write(watched[1], "x", 1) != 1)
		answer(c, "errno %lld", errno);
}

/* ---- commands ---- */

static bool word(const char *line, const char *name, const char **ret_rest)
{
	size_t length = strlen(name);
	if (strncmp(line, name, length) || (line[length] && line[length] != ' '))
		return false;
	*ret_rest = line[length] ? line + length + 1 : "";
	return true;
}

static bool tell(crew_conn *c, const char *line)
{
	const char *rest;
	crew_worker *w = crew_worker_of(c);
	if (word(line, "pid", &rest))
		answer(c, "%lld", getpid());
	else if (word(line, "id", &rest))
		answer(c, "%lld", crew_worker_id(w));
	else if (word(line, "gen", &rest))
		answer(c, "%lld", crew_worker_generation(w));
	else if (word(line, "variant", &rest))
		answer(c, "%lld", VARIANT);
	else if (word(line, "echo", &rest))
		crew_send(c, crew_str(rest));
	else if (word(line, "setting", &rest))
		crew_send(c, crew_str(crew_setting(rest, "(unset)")));
	else if (word(line, "env", &rest))
		crew_send(c, crew_str(getenv(rest) ? getenv(rest) : "(unset)"));
	else if (word(line, "counter", &rest))
		answer(c, "%lld", (long long)crew_worker_counter(w, rest));
	else if (word(line, "total", &rest))
		answer(c, "%lld", (long long)crew_service_counter(crew_worker_service(w), rest));
	else
		return false;
	return true;
}

static bool act(crew_conn *c, const char *line)
{
	const char *rest;
	crew_worker *w = crew_worker_of(c);
	if (word(line, "count", &rest)) {
		crew_count(w, COUNTED, atol(rest));
		answer(c, "%lld", (long long)crew_worker_counter(w, "counted"));
	} else if (word(line, "block", &rest)) {
		stand_still(atol(rest));
		crew_send(c, CREW_BYTES("done"));
	} else if (word(line, "loop", &rest)) {
		loop_for_ever();
	} else if (word(line, "crash", &rest)) {
		crash();
	} else if (word(line, "exit", &rest)) {
		_exit(atoi(rest));
	} else if (word(line, "recycle", &rest)) {
		crew_worker_recycle(w);
	} else if (word(line, "grow", &rest)) {
		grow(c, atol(rest));
	} else if (word(line, "tick", &rest)) {
		start_ticking(c);
	} else if (word(line, "untick", &rest)) {
		stop_ticking(c);
	} else if (word(line, "post", &rest)) {
		start_posting(c, atol(rest));
	} else if (word(line, "watch", &rest)) {
		start_watching(c);
	} else {
		return false;
	}
	return true;
}

static void on_message(crew_conn *c, crew_msg msg)
{
	char line[512];
	snprintf(line, sizeof(line), "%.*s", (int)msg.body.len, msg.body.data);
	if (!tell(c, line) && !act(c, line))
		crew_send(c, CREW_BYTES("what?"));
}

/* ---- the worker's life ---- */

static void leave_young(crew_worker *w, void *arg)
{
	(void)w;
	(void)arg;
	_exit(7);
}

static int on_worker_start(crew_worker *w)
{
	if (file_exists(crew_setting("fail_file", NULL)))
		return -EIO;
	while (file_exists(crew_setting("hang_file", NULL)))
		usleep(20000);
	int64_t young = crew_setting_int("young_ms", 0);
	if (young > 0)
		crew_timer_after(w, (uint64_t)young, leave_young, NULL);
	crew_log(CREW_INFO, "control started variant %d id %u generation %u", VARIANT,
		crew_worker_id(w), crew_worker_generation(w));
	return 0;
}

static void on_worker_stop(crew_worker *w)
{
	crew_log(CREW_INFO, "control stopped id %u", crew_worker_id(w));
}

static void on_reload(crew_worker *w)
{
	crew_log(CREW_INFO, "control replaced id %u", crew_worker_id(w));
}

static void on_worker_exit(const crew_exit *e)
{
	crew_log(CREW_INFO,
		"control exit service %s id %u pid %d status %d signal %d expected %d in %d",
		e->service->name, e->id, (int)e->pid, e->status, e->signal, e->expected,
		(int)getpid());
}

static const char *check_settings(void)
{
	return crew_setting_int("refuse", 0) ? "app.refuse is set, so nothing starts" : NULL;
}

#define CALLBACKS                                                             \
	.on_worker_start = on_worker_start, .on_worker_stop = on_worker_stop, \
	.on_reload = on_reload, .on_worker_exit = on_worker_exit, .on_message = on_message

int main(int argc, char **argv)
{
	static const crew_service ctl = {
		.name = "ctl",
		.listen = "text://127.0.0.1:7101",
		.stop_timeout_ms = 500,
		CALLBACKS,
	};
	static const crew_service side = {
		.name = "side",
		.listen = "text+unix://RUNDIR/side.sock",
		.stop_timeout_ms = 500,
		CALLBACKS,
	};
	return crew_main(argc, argv, &(crew_app){
		.name = "control",
		.version = "1.2.3",
		.services = { &ctl, &side },
		.counters = {
			{ "counted", "things", "what the count command added" },
			{ "ticks", "ticks", "how often the endless timer ran" },
		},
		.on_config = check_settings,
	});
}

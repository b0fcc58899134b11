/* run.h - what the commands that start and stop processes do. All return an exit status for main()
 * (design: 0 done, 1 failed, 2 usage, 3 not running) and print one line when it is not 0. */
#ifndef CREW_PROC_RUN_H
#define CREW_PROC_RUN_H

#include "proc/inherited.h"
#include "service/settings.h"

/* What a command waits for while it calls crew__run_options.progress. */
enum crew__awaited {
	CREW__AWAITED_STOP,
	CREW__AWAITED_RELOAD,
	CREW__AWAITED_OVER /* nothing any more */
};

struct crew__run_options {
	int argc;
	char **argv;   /* main()'s, for exec and process titles */
	bool daemon;   /* -d */
	bool single;   /* --single */
	bool graceful; /* -g */
	bool no_wait;  /* --no-wait (reload) */
	bool quiet;    /* -q: no banner */
	bool watch;    /* start --watch; not with --single */
	const char *config; /* the settings file that is watched then; NULL: none */
	/* Called a few times a second while a command waits, and when it does no more: to tell whom
	 * it waits for, at most `left_ms` yet. NULL: nobody wants to know. */
	void (*progress)(void *arg, enum crew__awaited awaited, uint64_t left_ms);
	void *progress_arg;
};

int crew__run_start(struct crew__settings *settings, const struct crew__run_options *options);
/* The same with sockets that are there already; all are used or closed, in this process as well as
 * in the one that goes to the background. */
int crew__run_start_with(struct crew__settings *settings, const struct crew__run_options *options,
	struct crew__inherited *inherited);
/* All users must exist and be reachable, and all limits possible, before anything starts. 0, or a
 * negative errno with a sentence. */
int crew__start_check_users(
	const struct crew__settings *settings, bool single, char *ret_error, size_t error_size);
int crew__run_stop(struct crew__settings *settings, const struct crew__run_options *options);
int crew__run_restart(struct crew__settings *settings, const struct crew__run_options *options);
int crew__run_reload(struct crew__settings *settings, const struct crew__run_options *options);

/* When this process is a master that has executed itself anew, or rehearses that: true, and `ret_status`
 * is what main() must return once all is over. */
bool crew__run_resumed(const crew_app *app, int argc, char **argv, int *ret_status);

/* When this process was started by a master: true, and `ret_status` is what main() must return once
 * the worker has ended. Called first thing by crew_main. */
bool crew__run_worker(const crew_app *app, int argc, char **argv, int *ret_status);

#endif

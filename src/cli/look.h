/* look.h - how a process stands, and whether a worker turns: from /proc and its own memory, without
 * asking it. */
#ifndef CREW_CLI_LOOK_H
#define CREW_CLI_LOOK_H

#include "stats/segment.h"

struct crew__process_look {
	bool gone;    /* not there, or a zombie */
	bool stopped; /* by a signal or a debugger */
};

struct crew__process_look crew__look_process(pid_t pid);
uint64_t crew__look_memory(pid_t pid); /* resident bytes; 0: unknown */

/* A worker that stands still cannot write down that it does; who reads its records must see it. */
struct crew__worker_look {
	char service[CREW__NAME_MAX]; /* printable */
	pid_t pid;
	uint32_t life, id, generation;
	bool stopped, gone;
	uint64_t turn_ms;    /* how long its present turn has lasted; 0: its loop waits */
	const char *busy_in; /* the callback in which; NULL: none, or unknown */
	bool stands_still;   /* stopped, gone, or in a turn of CREW__STILL_MS and more */
};
enum {
	CREW__STILL_MS = 200
};

void crew__look_worker(
	const struct crew__segment *segment, uint64_t now_ns, struct crew__worker_look *ret_look);

#endif

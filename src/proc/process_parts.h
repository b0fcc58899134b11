/* process_parts.h - what the files of the worker process share: process.c, process_told.c. */
#ifndef CREW_PROC_PROCESS_PARTS_H
#define CREW_PROC_PROCESS_PARTS_H

#include "proc/census.h"
#include "proc/greeting.h"
#include "proc/log_care.h"
#include "proc/passing.h"

struct crew__adopted {
	uint32_t id; /* whose it is: one with several addresses has several */
	int fd;      /* the worker's */
};

struct crew__process {
	struct crew__greeting greeting;
	const struct crew__service_settings *service;
	struct crew__loop *loop;
	struct crew__census *census;
	struct crew__source wire;
	struct crew__log_care log_care;
	crew_worker *worker;
	struct crew__adopted *adopted; /* listeners of siblings that are away */
	size_t adopted_count;
	struct crew__giving *giving; /* connections go to another worker; NULL until they do */
	struct crew__takings takings;
	struct crew__stop_order stop; /* to be followed when `giving` is over */
	uint64_t stop_ns;             /* when it came; 0: none has */
	bool leaving;
};

/* Leave, with a moment for what is under way; STOPPED is said when all is done (process.c). */
void crew__process_leave(
	struct crew__process *process, bool graceful, uint64_t window_ms, int close_code);
void crew__process_master_is_gone(struct crew__process *process);

/* There is something to read from the master, or its end (process_told.c). */
void crew__process_on_wire(struct crew__source *source, unsigned events);

#endif

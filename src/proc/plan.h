/* plan.h - what a program would run, told by that very program before anything of it is started.
 *
 * A reload may bring another program with other services, other defaults and another version of
 * crew. The master does not guess: it runs the new program once, as `plan`, with the arguments of
 * its own start. The program reads its settings, checks them, asks on_config, and writes what came
 * of it into a memfd: a line of JSON with the service table, then the settings as a worker gets
 * them. Of that the master makes settings to keep; what it does not know is left out there, and
 * still reaches the workers. */
#ifndef CREW_PROC_PLAN_H
#define CREW_PROC_PLAN_H

#include "proc/launch.h"
#include "service/settings.h"

#include <sys/types.h>

/* The variable that asks a process for its plan: "FD:PID", where to write and its master. */
#define CREW__PLAN_VARIABLE "CREW_PLAN"

enum {
	CREW__PLAN_DEADLINE_MS = 10000
};

/* ---- in the program that is asked ---- */

/* Where to write the plan; -1: this process is not asked. */
int crew__plan_asked(void);
/* 0 or a negative errno. */
int crew__plan_write(int fd, const crew_app *app, const struct crew__settings *settings);
int crew__plan_refuse(int fd, const char *why);

/* ---- in the master that asks ---- */

struct crew__plan {
	crew_app app; /* names, version and counters; no callbacks */
	crew_service services[CREW_MAX_SERVICES];
	struct crew__settings *settings; /* of `app` */
	char *text;                      /* as the program wrote them */
	void *strings;                   /* what `app` points into */
};

/* Run the program behind `program_fd`; what it writes will stand in `*ret_fd`, once `*ret_pid` has
 * ended. 0, or an errno with a sentence. */
int crew__plan_ask(const struct crew__launch *launch, int program_fd, pid_t *ret_pid, int *ret_fd,
	char *ret_error, size_t error_size);
/* Read what it wrote, which is believed only as far as it makes sense. -EINVAL when it refused,
 * -EPROTO when it is no plan, -ENOMEM; with a sentence. The settings are not put in force. */
int crew__plan_read(int fd, struct crew__plan **ret_plan, char *ret_error, size_t error_size);
void crew__plan_free(struct crew__plan *plan); /* NULL is allowed */

#endif

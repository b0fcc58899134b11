/* single_parts.h - what the files of single.h share: single.c, single_asked.c,
 * single_certificates.c. */
#ifndef CREW_PROC_SINGLE_PARTS_H
#define CREW_PROC_SINGLE_PARTS_H

#include "proc/single.h"

#include "proc/backlog.h"
#include "proc/census.h"
#include "proc/control.h"
#include "proc/herald.h"
#include "proc/log_care.h"
#include "service/tls.h"

struct crew__member {
	struct crew__single *single;
	crew_worker *worker;
	struct crew__entry *entry;
	struct crew__tls_watch certificates;
	struct crew__tls_secret secret;
	bool done;
};

struct crew__single {
	struct crew__single_plan plan;
	struct crew__loop *loop;
	struct crew__registry *registry;
	struct crew__census *census;
	struct crew__control *control;
	struct crew__member members[CREW_MAX_SERVICES];
	unsigned count; /* members made */
	unsigned running;
	struct crew__timer certificate_timer;
	struct crew__herald herald;
	struct crew__backlog backlog;
	struct crew__log_care log_care;
	bool stopping;
	bool stopping_at_once;
};

const struct crew__service_settings *crew__member_settings(const struct crew__member *member);

/* Stopping, signals and commands (single_asked.c). */
void crew__member_stop(struct crew__member *member, bool graceful, uint64_t window_ms);
/* How long its service gives it. */
uint64_t crew__member_window(const struct crew__member *member, bool graceful);
int crew__single_watch_signals(struct crew__single *single);
/* The control socket. On failure the error is a sentence. */
int crew__single_init_control(struct crew__single *single, char *ret_error, size_t error_size);

/* Those of all members that speak TLS, and looking for newer ones from then on
 * (single_certificates.c). */
int crew__single_begin_certificates(
	struct crew__single *single, char *ret_error, size_t error_size);

#endif

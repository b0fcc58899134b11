/* generation.h - an open descriptor of the program, its checked settings, and where it listens.
 *
 * Every worker of a generation, respawned ones included, is executed through that descriptor and
 * gets that text, so nothing half-installed and nothing half-edited is ever run. */
#ifndef CREW_PROC_GENERATION_H
#define CREW_PROC_GENERATION_H

#include "proc/certificates.h"
#include "proc/launch.h"
#include "proc/listeners.h"
#include "proc/plan.h"
#include "proc/registry.h"

struct crew__generation {
	unsigned references;
	unsigned number; /* 1, and one more each reload */
	int program_fd;
	int settings_fd;                 /* a sealed memfd that holds the settings as text */
	struct crew__settings *settings; /* the plan's, or the caller's */
	struct crew__plan *plan;         /* NULL: it is what this very program was started as */
	/* A service keeps its place in the directory for as long as the master lives; among the
	 * settings it may stand elsewhere in each generation. */
	unsigned place[CREW_MAX_SERVICES];      /* by index in settings */
	struct crew__certificates certificates; /* by place */
	struct crew__listeners listeners;       /* by place */
};

/* The settings' index of the service at that place, and what they say of it; -1 and NULL when it
 * has no such service. */
int crew__generation_index(const struct crew__generation *generation, unsigned place);
const struct crew__service_settings *crew__generation_service(
	const struct crew__generation *generation, unsigned place);

/* The first generation: this very program with settings that stay the caller's, each service at its
 * own index. The listeners become its own when it succeeds. */
int crew__generation_first(struct crew__settings *settings, struct crew__listeners *take_listeners,
	struct crew__generation **ret_generation, char *ret_error, size_t error_size);

/* The next one: the program behind `program_fd`, by its own plan; both are taken over in every
 * case. Refused (-EINVAL) when something changed that only a restart can change. New services get
 * their places in the registry's directory; what listens already is taken over from `present`. A
 * negative errno with a sentence. */
int crew__generation_next(int take_program_fd, struct crew__plan *take_plan,
	struct crew__generation *present, struct crew__registry *registry,
	struct crew__generation **ret_generation, char *ret_error, size_t error_size);

/* Its settings have changed in place: workers that start from now on get them so. 0 or an errno;
 * then they get what they would have got before. */
int crew__generation_renew(struct crew__generation *generation);

struct crew__generation *crew__generation_ref(struct crew__generation *generation);
void crew__generation_unref(struct crew__generation *generation); /* NULL is allowed */

/* NULL when a reload may go from `old` to `new`, else the sentence that says why not. `text` is
 * room for it. */
const char *crew__settings_need_restart(const struct crew__settings *old,
	const struct crew__settings *new, char *text, size_t size);

#endif

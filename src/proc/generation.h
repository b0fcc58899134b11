/* generation.h - an open descriptor of the program and its checked settings.
 *
 * Every worker of a generation, respawned ones included, is executed through that descriptor and
 * gets that text, so nothing half-installed and nothing half-edited is ever run. */
#ifndef CREW_PROC_GENERATION_H
#define CREW_PROC_GENERATION_H

#include "proc/certificates.h"
#include "proc/launch.h"

struct crew__generation {
	unsigned references;
	unsigned number; /* 1, and one more each reload */
	int program_fd;
	int settings_fd; /* a sealed memfd that holds the settings as text */
	struct crew__settings *settings;
	bool owns_settings;
	struct crew__certificates certificates;
};

/* The first generation: this very program with settings that stay the caller's. */
int crew__generation_first(struct crew__settings *settings,
	struct crew__generation **ret_generation, char *ret_error, size_t error_size);

/* The next one: the program as it is at its path now, the settings read again. Refused (-EINVAL)
 * when something changed that only a restart can change. The settings in force for crew_setting()
 * are those of `present` afterwards, whatever came out. */
int crew__generation_next(const struct crew__launch *launch, const struct crew__generation *present,
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

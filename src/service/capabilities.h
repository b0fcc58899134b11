/* capabilities.h - names of what root's power is divided into (capabilities(7)), and sets of them.
 *
 * Only words: what a process has and gives up is proc's (proc/caps.h). */
#ifndef CREW_SERVICE_CAPABILITIES_H
#define CREW_SERVICE_CAPABILITIES_H

#include "base/base.h"

/* "net_bind_service, cap_net_raw" as a set, a bit for each by its number; "none" is the empty one.
 * 0; -EINVAL with the word that is no name in `ret_bad`. */
int crew__capabilities_parse(const char *text, uint64_t *ret_set, char ret_bad[32]);

/* "net_bind_service net_raw"; "none"; a number where this crew knows no name. */
void crew__capabilities_text(uint64_t set, char *text, size_t size);

/* The name that is most like it, or NULL. */
const char *crew__capability_nearest(const char *word);

#endif

/* caps.h - the capabilities of this process: what it has, and giving the rest up for good.
 *
 * By the kernel's own calls; sets are bits by number, as in service/capabilities.h. */
#ifndef CREW_PROC_CAPS_H
#define CREW_PROC_CAPS_H

#include "base/base.h"

struct crew__caps {
	uint64_t effective, permitted, inheritable;
};

int crew__caps_get(struct crew__caps *ret_caps);

/* What this process and all that it executes can ever get again: `keep` at most. Only who has
 * CAP_SETPCAP may; otherwise nothing happens, and 0 as well. */
int crew__caps_bound(uint64_t keep);

/* Have exactly `keep`, and hand down nothing. 0; -EPERM: they were not all had, or it is not so
 * afterwards; another errno. */
int crew__caps_keep(uint64_t keep);

#endif

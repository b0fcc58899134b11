/* banner.h - what `start` shows once everything runs. */
#ifndef CREW_PROC_BANNER_H
#define CREW_PROC_BANNER_H

#include "proc/listeners.h"

/* The whole banner, allocated; NULL without memory. `mode` as in the directory. */
char *crew__banner(const struct crew__settings *settings, const struct crew__listeners *listeners,
	const char *engine, const char *mode);

#endif

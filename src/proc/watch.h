/* watch.h - `start --watch`: a rebuilt program, or another settings file, brings a reload about.
 *
 * Builds and editors put a new file under the old name, write into the old one, or turn a link; so not
 * the files are watched but the directories in which any of their names stands, and what happens there
 * is only a reason to look. A file counts as changed when it is another one than at the last reload and
 * has been the same for SETTLE_MS; a program, when it is whole as well (launch.h).
 *
 *      something happens                 other files than before, and they stand still
 *   idle ─────────────▸ settling ──────────────────────────────────────────────────▸ reload
 *     ▴                  │   │ nothing is different, or the program is not whole        │
 *     └──────────────────┴───┘◂────────────────── busy: look again ─────────────────────┘
 *
 * For development: what it cannot do it says in the log, and goes on. */
#ifndef CREW_PROC_WATCH_H
#define CREW_PROC_WATCH_H

#include "proc/launch.h"

#include "loop/loop.h"

#include <jansson.h>
#include <limits.h>

enum {
	CREW__WATCH_DIRECTORIES = 32
};

/* A file as it was found. All zero: there was none. */
struct crew__watched {
	uint64_t device, inode, size;
	struct timespec written, changed;
};

/* Embed it zeroed: nothing is watched. */
struct crew__watch {
	bool on;
	bool resumed; /* `taken` is what a former image had taken: what has changed since is news */
	char *config; /* absolute, owned; NULL: no settings file */
	/* From start to stop. */
	struct crew__loop *loop;
	const struct crew__launch *launch;
	int (*reload)(void *arg);
	void *arg;
	struct crew__source source; /* of inotify; fd > 0 while it is watched */
	struct crew__timer settle;
	int directories[CREW__WATCH_DIRECTORIES]; /* what inotify calls them */
	unsigned directory_count;
	bool told_partial;
	/* The program and its settings: when they were last taken, and as last seen. */
	struct crew__watched taken[2], seen[2];
};

/* It is to be watched; `config` may be NULL, or relative to the working directory. 0, -ENOMEM. */
int crew__watch_want(struct crew__watch *watch, const char *config);
/* Begin, when it is wanted. `reload` says 0 or why it was refused; -EBUSY: it is asked again a little
 * later. All is borrowed. 0 or an errno. */
int crew__watch_start(struct crew__watch *watch, struct crew__loop *loop,
	const struct crew__launch *launch, int (*reload)(void *arg), void *arg);
void crew__watch_stop(struct crew__watch *watch); /* and forget that it was wanted */

/* What another process image of the same master needs to go on: into an object, and from one; what is
 * not there means that nothing is watched. */
int crew__watch_save(const struct crew__watch *watch, json_t *into);
int crew__watch_restore(struct crew__watch *watch, const json_t *from);

#endif

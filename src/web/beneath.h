/* beneath.h - opening files below a directory and nowhere else, whatever the path says.
 *
 * The kernel does the looking (openat2, Linux 5.6): it follows symbolic links as long as they stay
 * below the root, and no link of /proc. An absolute link does not stay there, even when it points
 * back in. Where the kernel lacks that call, or a sandbox forbids it, we walk from name to name and
 * follow no link at all. */
#ifndef CREW_WEB_BENEATH_H
#define CREW_WEB_BENEATH_H

#include "base/base.h"

enum {
	CREW__PATH_MOST = 4000, /* a longer path is no file */
};

struct crew__root {
	int fd;    /* O_PATH, of a directory */
	bool walk; /* without openat2 */
};

/* 0, or an errno. */
int crew__root_open(struct crew__root *ret_root, const char *path);
void crew__root_close(struct crew__root *root); /* once more is allowed */

/* Could it name a file that is shown? Relative, without NUL, backslash, empty or dotted components
 * (`.`, `..`, `.git`). It may be empty or end with a slash, as a directory's name. */
bool crew__path_is_plain(crew_bytes path);

/* `path` must be plain. Opens it for reading, without waiting for whatever it is; or, with `look`,
 * only its place (O_PATH). A descriptor, close-on-exec, or an errno: -ENOENT, -ENOTDIR, -ELOOP,
 * -EXDEV (it would leave the root), -EACCES, -EMFILE, ... */
int crew__open_beneath(const struct crew__root *root, const char *path, bool look);

#endif

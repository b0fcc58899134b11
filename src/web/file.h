/* file.h - one file as it can be sent: a descriptor or its bytes, its length, its validators.
 *
 * Reference-counted, because answers that are on their way refer to it when the name already stands
 * for another file. Not here: which names are served, and what is kept for the next request
 * (file_cache.h). */
#ifndef CREW_WEB_FILE_H
#define CREW_WEB_FILE_H

#include "base/base.h"
#include "web/beneath.h"

enum {
	CREW__FILE_IN_MEMORY = 64 * 1024, /* a file that is not longer is read at once */
};

/* What tells one state of a file from another. The time of change is among it, as a rename, or a
 * change of rights, moves that alone. */
struct crew__file_stamp {
	uint64_t device, inode, size;
	int64_t modified_s, modified_ns, changed_s, changed_ns;
};

struct crew__file {
	uint32_t refs;
	int fd;          /* -1 when all of it is in memory */
	crew_bytes body; /* data NULL when it is not in memory; else not NULL, empty or not */
	uint64_t size;
	struct crew__file_stamp stamp;
	/* It was written so short a time before it was read that it may be written again without a
	 * change of its times: to be read anew when next looked at. */
	bool young;
	crew_bytes etag;  /* strong, of modification time, size and inode */
	bool from_future; /* when it was opened: its time is none that may be told */
	char etag_text[64];
	char modified_text[30]; /* Last-Modified */
	char bytes[];
};

/* A regular file below the root, with one reference. `path` is plain (beneath.h), not empty and
 * without a slash at its end. 0, or an errno: -EISDIR, -ENOENT (also what is neither file nor
 * directory), -ENOMEM, or as crew__open_beneath. */
int crew__file_open(const struct crew__root *root, const char *path, struct crew__file **ret_file);

static inline struct crew__file *crew__file_ref(struct crew__file *file)
{
	file->refs++;
	return file;
}

void crew__file_unref(struct crew__file *file); /* NULL is allowed */

/* Does the path still stand for that state of that file? 1; 0: no; or an errno of our own making
 * (-EMFILE, -ENFILE, -ENOMEM, -EAGAIN), which says nothing about the file. */
int crew__file_is_current(
	const struct crew__file *file, const struct crew__root *root, const char *path);

/* Is it still as it was, as far as its descriptor tells? Cheap: for between two looks at the path.
 * What is in memory cannot change. */
bool crew__file_is_intact(const struct crew__file *file);

/* Is the error of our own making, so that it must not be told as "no such file"? */
bool crew__file_error_is_ours(int error);

#endif

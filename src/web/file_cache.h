/* file_cache.h - the files of a worker that were asked for lately, ready to be sent.
 *
 * A path stands for a file and for the siblings beside it that hold the same, compressed. What it
 * stands for is looked up when it is first asked for, and anew at most once a second; between, a
 * short file costs no system call. Short files are in memory, long ones are open, and are seen to
 * change. Bounded in number and in bytes: what was not asked for the longest goes. What is not
 * there is not remembered, so that nobody can fill the cache with names of his own making. */
#ifndef CREW_WEB_FILE_CACHE_H
#define CREW_WEB_FILE_CACHE_H

#include "base/list.h"
#include "web/file.h"
#include "web/mime.h"

enum {
	CREW__FILES_MOST = 512,                    /* files, siblings counted */
	CREW__FILES_BYTES_MOST = 16 * 1024 * 1024, /* of files and of what is noted about them */
	CREW__FILES_SHARE =
		20, /* of the descriptors that the process may have, one part in so many */
	CREW__FILES_BUCKETS = 1024,
};

enum crew__form {
	CREW__FORM_PLAIN,
	CREW__FORM_BROTLI, /* PATH.br */
	CREW__FORM_GZIP,   /* PATH.gz */
	CREW__FORMS,
};

/* What a path stands for. */
struct crew__file_entry {
	struct crew__file *forms[CREW__FORMS]; /* plain always; a sibling NULL when there is none */
	const char *type;                      /* Content-Type */
	/* The cache's own. */
	struct crew__node by_use;
	struct crew__file_entry *next; /* in its bucket */
	const struct crew__root *root;
	uint64_t checked_ns;
	uint32_t hash, path_len;
	char path[];
};

struct crew__file_cache {
	struct crew__mime *mime;  /* lent */
	struct crew__node by_use; /* the longest unused first */
	uint32_t count;           /* files */
	uint32_t open, open_most; /* those of them that are not in memory */
	size_t bytes;
	struct crew__file_entry *buckets[CREW__FILES_BUCKETS];
};

/* NULL without memory. */
struct crew__file_cache *crew__file_cache_new(struct crew__mime *mime);
void crew__file_cache_free(struct crew__file_cache *cache); /* NULL is allowed */

/* `path` as for crew__file_open; `now_ns` of a clock that does not run backward. The entry is valid
 * until the next call; who needs a file longer takes a reference. 0, or as crew__file_open. */
int crew__file_cache_get(struct crew__file_cache *cache, const struct crew__root *root,
	crew_bytes path, uint64_t now_ns, const struct crew__file_entry **ret_entry);

/* Assert that the sums are right and the bounds are kept. For tests. */
void crew__file_cache_check(const struct crew__file_cache *cache);

#endif

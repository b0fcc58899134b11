/* memfd.h - memory with a descriptor and a size that nobody can change, shared between processes.
 *
 * The size is sealed: whoever maps such memory is safe from a writer that shrinks it under him. */
#ifndef CREW_STATS_MEMFD_H
#define CREW_STATS_MEMFD_H

#include "base/base.h"

/* Zeroed, sparse, mode 0600, close-on-exec, mapped read-write. 0 or a negative errno. */
int crew__memfd_new(const char *name, size_t size, int *ret_fd, void **ret_memory);

/* Map what somebody else made; `fd` stays the caller's. -EPROTO when its size is not sealed, or
 * below `least`. */
int crew__memfd_map(int fd, size_t least, bool writable, size_t *ret_size, void **ret_memory);

/* A descriptor of the same memory that can only be read. */
int crew__memfd_readonly(int fd);

#endif

/* log_out.h - bytes to a descriptor that may not take them: what is taken is taken whole, what is
 * not waits in a bounded queue, what the queue has no room for is lost and counted. Nothing waits.
 *
 * Flags of a descriptor are never changed, as others (a shell, a terminal's other programs) share
 * them; each kind is asked in its own way not to wait:
 *
 *   FILE      a write into the kernel's memory. A disk that stands still can hold it up all the
 *             same: processes leave it to a thread (log_thread.h)
 *   CHANNEL   a pipe, fifo or terminal: RWF_NOWAIT, else a question before the write
 *   STREAM    a stream socket: MSG_DONTWAIT
 *   JOURNAL_STREAM
 *             a stream socket whose other end is the journal: lines begin with their priority
 *   SYSLOG, JOURNAL
 *             a datagram socket: MSG_DONTWAIT, one entry each; connected again when the other end
 *             comes back
 *
 * Between two calls, of the entries in `queue` at most the first has left in part, and `done` of
 * its bytes are gone; `torn` says that what was last given up had begun to leave.
 *
 * Not here: locks, who says it, what a line looks like (log.c, log_line.c). */
#ifndef CREW_BASE_LOG_OUT_H
#define CREW_BASE_LOG_OUT_H

#include "base/base.h"

enum crew__log_kind {
	CREW__LOG_FILE,
	CREW__LOG_CHANNEL,
	CREW__LOG_STREAM,
	CREW__LOG_JOURNAL_STREAM,
	CREW__LOG_SYSLOG,
	CREW__LOG_JOURNAL,
};

#define CREW__SYSLOG_PATH  "/dev/log"
#define CREW__JOURNAL_PATH "/run/systemd/journal/socket"

enum {
	CREW__LOG_QUEUE_MAX = 64 * 1024 /* bytes that wait, entries' lengths included */
};

struct crew__log_out {
	int fd; /* borrowed; -1: nowhere, everything is lost */
	enum crew__log_kind kind;
	int error;             /* why an entry was last lost: a positive errno */
	uint64_t lost;         /* entries, ever */
	uint64_t reconnect_ns; /* datagrams: not tried again before */
	bool torn;
	size_t done;
	size_t len;
	_Alignas(uint32_t) char queue[CREW__LOG_QUEUE_MAX]; /* a length and the bytes, again and
							       again */
};

/* What a descriptor is. `journal`: a datagram socket leads to the journal, else to syslog. */
enum crew__log_kind crew__log_kind_of(int fd, bool journal);

/* Use that descriptor from now on. What waits is for the new one, unless kinds differ: then it is
 * tried once more and lost. */
void crew__log_out_use(struct crew__log_out *out, int fd, enum crew__log_kind kind);
/* False: the entry is lost (counted). It may wait; crew__log_out_flush() goes on with it. */
bool crew__log_out_put(struct crew__log_out *out, const char *entry, size_t length);
/* Is there room for so many bytes and the lengths of `entries`? */
bool crew__log_out_room(const struct crew__log_out *out, size_t length, size_t entries);
/* Only into the queue. */
void crew__log_out_append(struct crew__log_out *out, const char *entry, size_t length);
/* All that is taken at present. */
void crew__log_out_flush(struct crew__log_out *out);
/* Give up what waits. */
void crew__log_out_drop(struct crew__log_out *out);

#endif

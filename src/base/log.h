/* log.h - one line at a time to one place, and never twice too many.
 *
 * A line is at most 4096 bytes; its form is that of the place (log_line.h). Nobody waits for it:
 * what the place does not take at once waits in a bounded queue, what that has no room for is lost
 * and counted, and the next line that is taken is preceded by one that tells how many. Control
 * bytes in the text become spaces. errno is left as it was. Any thread may log; lines are made
 * outside the lock. Place and name are the process's own (set once at start; the place again when
 * the log is reopened).
 *
 * A file is written by a thread once crew__log_thread_allow() was called, because a disk that
 * stands still holds up who writes to it. Warnings and errors, and a line for which the queue has
 * no room, wait for that thread, at most CREW__LOG_PATIENCE_MS and not again before it has caught
 * up, so that a process that ends itself after such a line has said it.
 *
 * On fork: the child has no thread and writes files itself. */
#ifndef CREW_BASE_LOG_H
#define CREW_BASE_LOG_H

#include "base/base.h"
#include "base/log_line.h"

enum {
	CREW__LOG_PATIENCE_MS = 20
};

/* Where lines go and how. Texts are copied. */
struct crew__log_plan {
	int fd;           /* borrowed */
	crew_level level; /* what is below is dropped */
	bool json;
	bool journal;                   /* a datagram socket leads to the journal, else to syslog */
	unsigned facility;              /* of syslog and the journal; 0: daemon */
	struct crew__log_origin origin; /* pid 0: this process */
};
void crew__log_use(const struct crew__log_plan *plan);
/* Text to that descriptor under a name ("test", "master"). */
void crew__log_open(int fd, crew_level level, const char *tag);
/* Only the place changes, or only the level. */
void crew__log_switch(int fd);
void crew__log_set_level(crew_level level);

void crew__log(crew_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void crew__log_v(crew_level level, const char *format, __builtin_va_list arguments);
/* What somebody else said: a worker's output, told by its master. `message` is without an end of
 * line. */
void crew__log_for(const struct crew__log_origin *origin, crew_level level, crew_bytes message);
bool crew__log_wants(crew_level level);

/* Lines of this process that were lost so far; and where to count them as well (NULL: nowhere). */
uint64_t crew__log_lost(void);
void crew__log_count_into(uint64_t *counter);

/* Some lines wait because the place did not take them: to be tried again by crew__log_flush(0),
 * which a loop does (log_care.h). */
bool crew__log_waits(void);

/* `fn` is to be called when lines begin to wait, and at once when some do: from any thread, with the
 * log's lock held, so it must not log. NULL: nobody is. */
void crew__log_on_wait(void (*fn)(void *arg), void *arg);
/* Try to have everything written, for so long. True: nothing waits any more. */
bool crew__log_flush(unsigned ms);

/* From now on files are written by a thread of ours, which begins with the next line to a file. Not
 * before the process has become the user it will be: a thread keeps what it began with. */
void crew__log_thread_allow(void);
/* For the handler of a fatal signal: give that thread CREW__LOG_PATIENCE_MS to write what it has.
 * May be called from any signal handler. */
void crew__log_before_death(void);
/* Write what waits, for at most `ms`, and end that thread. */
void crew__log_thread_end(unsigned ms);

/* A limit of `per_second` lines for one kind of event: zero-initialise, one for each kind. What was
 * left out is told with the next line that passes. */
struct crew__log_rate {
	uint64_t second;
	uint32_t lines;
	uint32_t left_out;
};

/* True when a line may be written now; `*ret_left_out` is how many were not since the last. */
bool crew__log_allowed(struct crew__log_rate *rate, uint32_t per_second, uint32_t *ret_left_out);

/* The same in words for the line's end: " (7 such lines left out)", or nothing when none was. */
enum {
	CREW__LEFT_OUT_MAX = 48
};
bool crew__log_may(
	struct crew__log_rate *rate, uint32_t per_second, char ret_left_out[CREW__LEFT_OUT_MAX]);

#endif

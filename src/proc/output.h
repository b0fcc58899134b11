/* output.h - what one worker process prints, told by its master as lines of the log.
 *
 * Two pipes, standard output (told as info) and standard error (as warn). The worker's ends do not
 * block: one whose master stands still loses what it prints, and does not stand still itself. The
 * master reads all there is and tells at most `capture_lines` of it a second; how many were left
 * out is told too. A line without an end is told when its worker has gone.
 *
 * Not here: lines of crew_log(), which workers write themselves. */
#ifndef CREW_PROC_OUTPUT_H
#define CREW_PROC_OUTPUT_H

#include "base/log.h"
#include "loop/loop.h"

#include <jansson.h>

enum {
	CREW__OUTPUT_LINE_MAX =
		3800, /* longer ones come in pieces, each of which fits into a line */
	CREW__OUTPUT_PIPE_SIZE = 256 * 1024
};

struct crew__output_stream {
	struct crew__output *output;
	struct crew__source source; /* fd -1: nothing is read */
	crew_level level;
	size_t len;
	char line[CREW__OUTPUT_LINE_MAX];
};

struct crew__output {
	struct crew__loop *loop;
	struct crew__log_origin origin; /* of the worker; its texts are borrowed */
	uint32_t lines_most;            /* a second; 0: no limit */
	struct crew__log_rate rate;
	struct crew__timer tell; /* runs while something was left out and is not told */
	struct crew__output_stream streams[2];
};

/* Nothing is read. */
void crew__output_init(struct crew__output *output, struct crew__loop *loop,
	const struct crew__log_origin *origin, uint32_t lines_most);
/* Make the pipes and watch them; the worker's ends are the caller's, who closes them after the
 * fork. An errno: there are none, and ret_fds are -1. */
int crew__output_open(struct crew__output *output, int ret_fds[2]);
/* The worker has gone: tell what is left, and close. */
void crew__output_end(struct crew__output *output);

/* For a successor by exec: members "stdout" and "stderr", whose descriptors the caller keeps open.
 * A line that has begun is told as it is. Restored, after crew__output_init(), what is no open pipe
 * is left out. */
void crew__output_save(struct crew__output *output, json_t *into);
void crew__output_restore(struct crew__output *output, const json_t *from);

/* In the worker: a line of stdout leaves when it ends, as it would on a terminal, and not when a
 * buffer is full. Nothing when standard output is no pipe. */
void crew__output_by_lines(void);

/* Is a debugger or tracer attached to this process? What it starts should print as it always did.
 */
bool crew__output_traced(void);

#endif

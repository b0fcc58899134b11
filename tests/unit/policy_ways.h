/* policy_ways.h - what tests of slow readers share: a service of lines whose peers can be made to
 * stall, and what such a peer gets in the end. */
#ifndef CREW_TESTS_POLICY_WAYS_H
#define CREW_TESTS_POLICY_WAYS_H

#include "net_ways.h"

enum {
	POLICY_FILL = 500, /* bytes of a line that fills a kernel buffer: "F...\n" */
	POLICY_ROOM = 1 << 20,
};

/* Fill the kernel's buffer for `c`, until a little waits in our queue. */
void stall(struct world *world, crew_conn *c);

/* Send "PREFIX-NUMBER" and spaces up to `len` bytes, the line's end included. */
int64_t send_line(crew_conn *c, const char *prefix, unsigned number, size_t len,
	const crew_send_options *options);

/* All that comes, with the filling and the spaces left out: "a-1 a-2 b-7". Lines that are cut or
 * mixed up fail the test. */
const char *hear_lines(struct world *world, int peer);

/* How many lines of what hear_lines() gave begin so. */
unsigned lines_of(const char *heard, const char *prefix);

#endif

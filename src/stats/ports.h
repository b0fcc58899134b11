/* ports.h - the listening sockets as the kernel sees them: who waits to be accepted, how many may,
 * and how often that was too few.
 *
 * A table behind the directory, written by the master alone (proc/backlog.h) under a sequence of
 * its own, read by `status`. Its pages cost nothing but for the rows that are used. */
#ifndef CREW_STATS_PORTS_H
#define CREW_STATS_PORTS_H

#include "base/base.h"

#include <stdatomic.h>

enum {
	CREW__PORTS = 512,
	CREW__PORT_TEXT = 400,
	CREW__PORT_UNKNOWN = -1, /* the kernel does not tell */
};

/* One address of a service, with all its sockets. */
struct crew__port {
	uint32_t service; /* index in the directory */
	uint32_t accept;  /* enum crew__accept_choice */
	uint32_t sockets;
	int32_t queue;   /* connections that nobody has accepted yet, of all sockets */
	int32_t backlog; /* of one socket: more than so many do not wait */
	uint32_t reserved;
	uint64_t overflow;    /* times that the kernel dropped who wanted to connect */
	uint64_t overflow_ns; /* CLOCK_MONOTONIC: when that was last seen to grow; 0: never */
	char address[CREW__PORT_TEXT];
};

struct crew__ports {
	_Atomic uint32_t sequence; /* odd while it is written */
	uint32_t rows;
	struct crew__port row[CREW__PORTS];
};

/* These rows instead of those that are there; those beyond CREW__PORTS are left out. */
void crew__ports_write(struct crew__ports *ports, const struct crew__port *rows, size_t count);

/* A copy, one allocation of the caller's, in which every text ends and `count` is right; NULL with
 * a count of 0 when there are none, or no memory. `ports` is another process's memory. */
struct crew__port *crew__ports_read(const struct crew__ports *ports, size_t *ret_count);

#endif

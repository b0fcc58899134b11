/* passing.h - connections on their way from a worker that leaves to one that stays, at a reload.
 *
 * The two have a socket pair, made by the master, which does not see what goes over it.
 *
 *   taker: READY ─▸ giver:   connections may come, in this version of passing
 *   giver: PASS  ─▸ taker:   one, with its descriptor; it has left the giver, which keeps the bytes
 *   taker: TAKEN ─▸ giver:   it lives here: the giver forgets it
 *   taker: REFUSED ─▸ giver: it does not: the giver brings it to life again, and it drains there
 *
 * Never do both have one. The taker lets it live only when its TAKEN is in the giver's socket; the
 * giver brings one back only when it is refused, or when it has shut the pair down (then no TAKEN
 * can come any more) and no TAKEN lies there. So it is with either process killed at any moment:
 * what is then nowhere had ended with its worker. */
#ifndef CREW_PROC_PASSING_H
#define CREW_PROC_PASSING_H

#include "base/list.h"
#include "proc/wire.h"
#include "service/handover.h"

enum {
	CREW__PASSING_VERSION = 1,
	CREW__PASSING_AT_ONCE = 8, /* under way: the kernel queues ten packets in such a socket */
	CREW__PASSING_SILENCE_MS = 1000, /* a taker that says nothing for so long is given up */
	CREW__PASSING_LATER_MS = 250,    /* what cannot move now is waited for, for so long */
};

struct crew__pass_ready {
	uint32_t version;
	uint32_t reserved;
};

struct crew__pass {
	uint32_t token;  /* of the giver's */
	uint32_t length; /* of what describes it: behind this, or in a memfd that follows the
			    connection */
};

struct crew__passed {
	uint32_t token;
	int32_t error; /* REFUSED: why */
};

struct crew__giving;

/* The worker's connections go to whoever has the other end of `take_fd`, taken over in every case.
 * `done(arg)` is called from the loop when all have gone that can. 0, -ENOMEM, or an errno of the
 * loop. */
int crew__giving_new(struct crew__loop *loop, crew_worker *worker, int take_fd,
	void (*done)(void *arg), void *arg, struct crew__giving **ret_giving);
/* Until then at the latest (CLOCK_MONOTONIC). */
void crew__giving_until(struct crew__giving *giving, uint64_t deadline_ns);
/* Not one more, and those that are under way come back unless they have arrived; `done` is not
 * called. Nothing when it is over. */
void crew__giving_end(struct crew__giving *giving);
bool crew__giving_is_over(const struct crew__giving *giving);
/* When it is over, and not from its own callback. NULL is allowed. */
void crew__giving_free(struct crew__giving *giving);

/* Those that hand over to this worker; zeroed by crew__list_init of `givers`. */
struct crew__takings {
	struct crew__node givers;
	struct crew__loop *loop;
	crew_worker *worker;
};

/* One more; `take_fd` is taken over in every case. 0 or an errno. */
int crew__takings_add(struct crew__takings *takings, int take_fd);
void crew__takings_end(struct crew__takings *takings);

#endif

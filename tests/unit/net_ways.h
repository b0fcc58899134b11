/* net_ways.h - what tests of connections and services have in common: what peers do, patience, and
 * a record in words of all that the program was told. */
#ifndef CREW_TESTS_NET_WAYS_H
#define CREW_TESTS_NET_WAYS_H

#include "service_world.h"

/* ---- what the program was told ------------------------------------------------------------- */

/* Each callback below appends a word: "open", "message:BODY", "end", "full", "drain",
 * "error:REASON:MESSAGES", "close:REASON"; the words stand apart by one space. */
void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *told(void); /* all since told_anew() */
void told_anew(void);

void tell_open(crew_conn *c);
void tell_message(crew_conn *c, crew_msg msg);
void tell_end(crew_conn *c);
void tell_full(crew_conn *c);
void tell_drain(crew_conn *c);
void tell_error(crew_conn *c, const crew_loss *loss);
void tell_close(crew_conn *c);

/* ---- patience ------------------------------------------------------------------------------ */

/* Turn until the condition holds; how long it takes does not matter, but never is a failure. */
#define world_until(world, condition)                                      \
	do {                                                               \
		uint64_t give_up_ = patience_ends();                       \
		while (!(condition))                                       \
			world_wait(world, give_up_, #condition, __LINE__); \
	} while (0)
uint64_t patience_ends(void);
void world_wait(struct world *world, uint64_t give_up, const char *for_what, int line);

/* At the end of each test, failed or not: what the turns bring, then the world's end. One whose
 * turn a failed assertion has left for good is left as it is. */
void world_clean_up(struct world *world);

/* Turns for so long: what is not to come had the time to. */
void world_pass(struct world *world, unsigned ms);

/* ---- peers --------------------------------------------------------------------------------- */

/* A peer whose end gives each write of ours as one packet. */
int world_connect_packets(struct world *world);
/* A peer by TCP on the loopback; `ret_own` the address of its end, may be NULL. */
int world_connect_tcp(struct world *world, struct crew__record_address *ret_own);

void peer_says(int fd, crew_bytes bytes);
/* What has come by now, at most size - 1 bytes, and a NUL; -1 for a reset, 0 for nothing yet. The
 * end of the stream reads as nothing too: peer_sees_end() tells. */
ssize_t peer_hears(int fd, char *room, size_t size);
/* Turns and reads in turn until all is quiet: everything that would come. Returns how much. */
size_t peer_hears_all(struct world *world, int fd, char *room, size_t size);
/* The same, thrown away. */
size_t peer_drinks(struct world *world, int fd);
/* The stream ends here, with nothing before it. */
bool peer_sees_end(int fd);
/* A reset, after what had come before. */
bool peer_sees_reset(int fd);

/* ---- counters ------------------------------------------------------------------------------ */

uint64_t counter(const struct world *world, const char *name);

/* A test under both engines: `state` points to the engine. The file's clean_up() follows each, so
 * that one that failed leaves nothing to the next. */
#define ON_BOTH(name) \
	ON_ENGINE(name, "epoll", CREW__ENGINE_EPOLL), ON_ENGINE(name, "poll", CREW__ENGINE_POLL)
#define ON_ENGINE(name, text, kind)                                                  \
	{                                                                            \
#name " (" text ")", name, NULL, clean_up, &(enum crew__engine_kind) \
		{                                                                    \
			kind                                                         \
		}                                                                    \
	}
static inline enum crew__engine_kind engine_of(void **state)
{
	return *(enum crew__engine_kind *)*state;
}

#endif

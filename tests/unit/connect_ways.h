/* connect_ways.h - a worker that connects, and servers for it: sockets of the test's own. */
#ifndef CREW_TESTS_CONNECT_WAYS_H
#define CREW_TESTS_CONNECT_WAYS_H

#include "service_world.h"

/* What was told of outgoing connections: one word for each callback, in order, with blanks between
 * ("open msg:hi close:peer"). */
struct heard {
	char words[4096];
	char why[256]; /* of the last that never stood; "" */
	unsigned opens, closes, retries;
	crew_conn *last; /* that opened, or is tried; NULL once it has closed */
	uint64_t lost[CREW_LOST_REASONS];
};
extern struct heard heard;

/* Its callbacks write down what they are told. `on_heard`, when set, is called in each of them,
 * with its word. */
extern const crew_service ways_service;
extern void (*on_heard)(crew_conn *c, const char *word);
void heard_word(crew_conn *c, const char *word);
/* For crew_connect_options.on_retry. */
void heard_retry(crew_conn *c);
/* All is forgotten. */
void hear_nothing(void);

/* Turns until `words` has been told in full, and no more; fails after a few seconds. */
void wait_heard(struct world *world, const char *words);
/* Turns until the condition holds. */
#define WAIT(world, condition)                                                      \
	do {                                                                        \
		for (int turns = 0; !(condition); turns++) {                        \
			if (turns > 3000)                                           \
				fail_msg("%s; heard: %s", #condition, heard.words); \
			world_turn((world), 2);                                     \
		}                                                                   \
	} while (0)

/* A listening socket on 127.0.0.1; `ret_url` becomes SCHEME://127.0.0.1:PORT. */
int listen_here(const char *scheme, char ret_url[64]);
/* One that listens no more, or never will: the port answers with a reset. */
void nobody_listens(const char *scheme, char ret_url[64]);
/* The next that has connected there, blocking with a limit of time. */
int take_peer(struct world *world, int listener);
/* Turns until so many bytes have come, which are `text`. */
void expect_bytes(struct world *world, int fd, const char *text, size_t len);
void put_bytes(int fd, const char *text, size_t len);

/* The world's worker leaves; until it has. */
void stop_world(struct world *world, bool graceful);

#endif

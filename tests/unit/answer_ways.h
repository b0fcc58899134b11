/* answer_ways.h - what tests of answers have in common: one worker, one peer, and what the peer
 * gets with its Date fields left out. */
#ifndef CREW_TESTS_ANSWER_WAYS_H
#define CREW_TESTS_ANSWER_WAYS_H

#include "net_ways.h"
#include "service/http.h"

struct ways {
	struct world world;
	int peer;
	uint64_t id;              /* of the connection that asked last */
	crew_request_fn *handler; /* NULL: the answer comes later */
	char *room;
	size_t len; /* bytes in it */
};
extern struct ways ways;

/* An http service that remembers who asked, calls ways.handler, and tells of everything. */
extern const crew_service ways_web;

void ways_open(void **state, void (*adjust)(struct crew__service_settings *settings));
void ways_open_with(void **state, const crew_service *service,
	void (*adjust)(struct crew__service_settings *settings));
void ways_close(void);
void ways_on_request(crew_conn *c, const crew_request *request);

/* Say it, and let come what comes. Who asked last; NULL when it has gone. */
crew_conn *ways_ask(const char *bytes);
crew_conn *ways_conn(void);

/* All that has come since, with a NUL behind. */
const char *ways_hear(void);

/* The body behind the head in ways.room, its chunks joined, with a NUL behind; fails when the
 * coding is not good and complete. `ret_trailers` is what stands between the last chunk and the
 * empty line; may be NULL. */
const char *ways_unchunk(const char **ret_trailers);

#define WAYS_GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

#endif

/* fetch_ways.h - a worker that fetches, and a web server of few words in the same loop. */
#ifndef CREW_TESTS_FETCH_WAYS_H
#define CREW_TESTS_FETCH_WAYS_H

#include "service_world.h"

enum {
	WEB_ANSWERS = 32,
	WEB_REQUESTS = 64,
	WEB_REQUEST_MOST = 256 * 1024,
	WEB_CONNS = 64
};

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* The n-th request gets the n-th answer; those beyond get the last one. None: no answer. */
struct web {
	int fd;
	uint16_t port;
	struct web_answer {
		const char *bytes;
		size_t len;
		bool close; /* the connection, behind it */
	} answers[WEB_ANSWERS];
	unsigned answer_count;
	char *requests[WEB_REQUESTS]; /* whole, as they came */
	size_t request_lens[WEB_REQUESTS];
	unsigned request_count, connections, open;
	bool early; /* answer the head, not the whole request */
	struct web_conn {
		int fd; /* -1: free */
		struct web *web;
		char *in, *out;
		size_t in_len, out_len, out_at;
		bool close, answered;
	} conns[WEB_CONNS];
};

void web_open(struct web *web); /* a worker must be there */
void web_close(struct web *web);
void web_answer(struct web *web, const char *text);       /* one more */
void web_answer_close(struct web *web, const char *text); /* likewise */
void web_answer_bytes(struct web *web, const char *bytes, size_t len);
void web_forget(struct web *web);  /* answers and requests; connections stay */
void web_hang_up(struct web *web); /* close all connections */

/* The length of the first whole request (early: of its head), 0 when there is none. */
size_t web_request_length(char *in, size_t in_len, bool early);

/* What on_done told. */
struct told {
	int calls, error, status;
	int64_t id;
	unsigned redirects;
	char why[320], url[512];
	char *body;
	size_t len, header_count;
	char header[256]; /* the value of the field "x-test", if it was there */
	uint64_t elapsed_ms;
	/* on_body */
	unsigned parts, body_status;
	size_t part_bytes;
	bool inside; /* crew_fetch() is on the stack */
};
void told_free(struct told *told);

/* A started worker of a service without a socket; and its end, after which no descriptor and no
 * memory is left. */
void fetch_world_open(struct world *world);
void fetch_world_close(struct world *world);

/* Fetch "http://127.0.0.1:PORT" + path, with told's callback. The id, or an error. */
int64_t fetch_start(
	struct told *told, const struct web *web, const char *path, crew_fetch_options options);
/* Turns until `told` has been called, at most 10 s; false: it was not. */
bool fetch_wait(struct world *world, struct told *told);
/* Both, with a check that it came once, not from inside the call. Its error. */
int fetch(struct world *world, struct told *told, const struct web *web, const char *path,
	crew_fetch_options options);
void fetch_turns(struct world *world, unsigned ms);

/* What a test of fetches begins with, as its set-up and tear-down. */
struct fetch_stage {
	struct world world;
	struct web web;
	struct told told;
};
extern struct fetch_stage stage;
int fetch_set_up(void **state);
int fetch_tear_down(void **state);
/* fetch() there. */
int go(const char *path, crew_fetch_options options);
/* The i-th request came, with that text in it. */
bool asked(unsigned i, const char *text);

unsigned open_descriptors(void);
unsigned tasks(void);

#endif

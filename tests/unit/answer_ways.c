#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "answer_ways.h"

#include <stdlib.h>
#include <unistd.h>

enum {
	ROOM = 1 << 23
};

struct ways ways;

void ways_on_request(crew_conn *c, const crew_request *request)
{
	ways.id = crew_id(c);
	if (ways.handler)
		ways.handler(c, request);
}

const crew_service ways_web = {
	.name = "web",
	.listen = "http://127.0.0.1:1",
	.on_request = ways_on_request,
	.on_close = tell_close,
	.on_error = tell_error,
	.on_full = tell_full,
	.on_drain = tell_drain,
};

void ways_open_with(void **state, const crew_service *service,
	void (*adjust)(struct crew__service_settings *settings))
{
	memset(&ways, 0, sizeof(ways));
	ways.peer = -1;
	ways.room = malloc(ROOM);
	assert_non_null(ways.room);
	told_anew();
	assert_true(world_open(&ways.world, service, engine_of(state), adjust));
	ways.peer = world_connect(&ways.world);
	assert_true(ways.peer >= 0);
	world_settle(&ways.world);
}

void ways_open(void **state, void (*adjust)(struct crew__service_settings *settings))
{
	ways_open_with(state, &ways_web, adjust);
}

void ways_close(void)
{
	if (ways.peer >= 0)
		close(ways.peer);
	ways.peer = -1;
	ways.handler = NULL;
	world_clean_up(&ways.world);
	free(ways.room);
	ways.room = NULL;
}

crew_conn *ways_conn(void)
{
	return crew_find(ways.id);
}

crew_conn *ways_ask(const char *bytes)
{
	peer_says(ways.peer, crew_str(bytes));
	world_settle(&ways.world);
	return ways_conn();
}

const char *ways_hear(void)
{
	char *date;
	ways.len = peer_hears_all(&ways.world, ways.peer, ways.room, ROOM);
	while ((date = strstr(ways.room, "Date: "))) {
		char *rest = strstr(date, "\r\n") + 2;
		assert_int_equal(rest - date, 6 + 29 + 2);
		memmove(date, rest, ways.len + 1 - (size_t)(rest - ways.room));
		ways.len -= (size_t)(rest - date);
	}
	return ways.room;
}

/* The length on a chunk's line, which must be in hexadecimal and nothing else. */
static size_t chunk_length(char **at)
{
	char *end;
	assert_true(strspn(*at, "0123456789abcdef") > 0);
	size_t len = strtoul(*at, &end, 16);
	assert_memory_equal(end, "\r\n", 2);
	*at = end + 2;
	return len;
}

const char *ways_unchunk(const char **ret_trailers)
{
	char *at = strstr(ways.room, "\r\n\r\n");
	char *end = ways.room + ways.len;
	assert_non_null(at);
	assert_non_null(strstr(ways.room, "Transfer-Encoding: chunked\r\n"));
	char *body = at += 4, *to = body;
	for (size_t len; (len = chunk_length(&at)) > 0; at += len + 2) {
		assert_true(len + 2 <= (size_t)(end - at));
		assert_memory_equal(at + len, "\r\n", 2);
		memmove(to, at, len);
		to += len;
	}
	*to = '\0';
	assert_true(end - at >= 2);
	assert_memory_equal(end - 2, "\r\n", 2);
	end[-2] = '\0';
	if (ret_trailers)
		*ret_trailers = at;
	else
		assert_int_equal(end - at, 2);
	return body;
}

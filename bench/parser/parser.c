/* parser.c - bytes per second of crew's HTTP/1 parser and of Debian's libhttp-parser, on the heads
 * that browsers send.
 *
 *   crew_bench_parser [SECONDS]    SECONDS in all (3); one line of JSON
 *
 * Both get each head whole, as it comes from a socket, and both give views of method, target and
 * all fields: libhttp-parser's callbacks note them in a table of the same kind. crew looks at more
 * (which host, which forms of target, limits); libhttp-parser keeps a state that could go on at any
 * byte. They take turns within each round, and the median round counts. Built only where
 * libhttp-parser (package libhttp-parser-dev) is. */
#include "heads.h"

#include "base/clock.h"
#include "proto/http1.h"

#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	HEADS = sizeof(heads) / sizeof(heads[0]),
	ROUNDS = 15,
	HEAD_ROOM = 4096
};

static char copies[HEADS][HEAD_ROOM];
static size_t lengths[HEADS];

/* ---- crew ---------------------------------------------------------------------------------- */

static size_t by_crew(size_t which)
{
	static struct crew__http1_request request;
	struct crew__http1 parser = { 0 };
	size_t consumed = 0;
	int status = 0;
	enum crew__http1_result result = crew__http1_begin(
		&parser, copies[which], lengths[which], &request, &consumed, &status);
	bool good = result == CREW__HTTP_REQUEST && consumed == lengths[which];
	return good ? request.public.header_count : 0;
}

/* ---- libhttp-parser ------------------------------------------------------------------------ */

struct found {
	crew_bytes target;
	crew_header table[CREW__HTTP_HEADERS_MAX];
	size_t count;
	bool complete;
};

static int on_url(http_parser *p, const char *at, size_t len)
{
	struct found *f = p->data;
	f->target = (crew_bytes){ at, len };
	return 0;
}

/* A head that is whole is told in whole names and values. */
static int on_name(http_parser *p, const char *at, size_t len)
{
	struct found *f = p->data;
	if (f->count == CREW__HTTP_HEADERS_MAX)
		return -1;
	f->table[f->count++].name = (crew_bytes){ at, len };
	return 0;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
	struct found *f = p->data;
	f->table[f->count - 1].value = (crew_bytes){ at, len };
	return 0;
}

static int on_complete(http_parser *p)
{
	struct found *f = p->data;
	f->complete = true;
	return 0;
}

static size_t by_http_parser(size_t which)
{
	static const http_parser_settings settings = { .on_url = on_url,
		.on_header_field = on_name,
		.on_header_value = on_value,
		.on_message_complete = on_complete };
	static struct found found;
	http_parser parser;
	http_parser_init(&parser, HTTP_REQUEST);
	parser.data = &found;
	found.count = 0;
	found.complete = false;
	size_t used = http_parser_execute(&parser, &settings, copies[which], lengths[which]);
	bool good = found.complete && used == lengths[which] &&
		    HTTP_PARSER_ERRNO(&parser) == HPE_OK;
	return good ? found.count : 0;
}

/* ---- timing -------------------------------------------------------------------------------- */

typedef size_t parse_fn(size_t which);

static uint64_t cpu_ns(void)
{
	struct timespec t;
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) < 0)
		abort();
	return (uint64_t)t.tv_sec * CREW__NS_PER_S + (uint64_t)t.tv_nsec;
}

/* Nanoseconds of processor time for a head, over about so many of them. */
static double time_of(parse_fn *parse, size_t which, uint64_t ns)
{
	uint64_t began = cpu_ns(), now;
	size_t heads_done = 0;
	do {
		for (size_t i = 0; i < 500; i++)
			if (parse(which) != heads[which].fields)
				abort();
		heads_done += 500;
		now = cpu_ns();
	} while (now - began < ns);
	return (double)(now - began) / (double)heads_done;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), compare);
	return values[ROUNDS / 2];
}

/* MB/s (10^6 bytes) of so many bytes in so many nanoseconds. */
static double speed(double bytes, double ns)
{
	return bytes * 1000 / ns;
}

struct result {
	double crew, peer; /* nanoseconds for a head */
};

static struct result measure(size_t which, uint64_t ns)
{
	double crew[ROUNDS], peer[ROUNDS];
	for (size_t i = 0; i < ROUNDS; i++) {
		crew[i] = time_of(by_crew, which, ns);
		peer[i] = time_of(by_http_parser, which, ns);
	}
	return (struct result){ median(crew), median(peer) };
}

/* Both understand all of it, or there is nothing to compare. */
static bool check(void)
{
	for (size_t i = 0; i < HEADS; i++) {
		lengths[i] = strlen(heads[i].text);
		if (lengths[i] >= HEAD_ROOM)
			return false;
		memcpy(copies[i], heads[i].text, lengths[i]);
		size_t crew = by_crew(i), peer = by_http_parser(i);
		if (crew == heads[i].fields && peer == heads[i].fields)
			continue;
		fprintf(stderr, "%s has %zu fields: crew sees %zu, libhttp-parser %zu\n",
			heads[i].name, heads[i].fields, crew, peer);
		return false;
	}
	return true;
}

static void print_one(size_t which, struct result r)
{
	double bytes = (double)lengths[which];
	printf("%s\"%s\": {\"bytes\": %zu, \"crew_mb_per_s\": %.0f, "
	       "\"libhttp_parser_mb_per_s\": %.0f}",
		which ? ", " : "", heads[which].name, lengths[which], speed(bytes, r.crew),
		speed(bytes, r.peer));
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 3;
	if (argc > 2 || seconds <= 0 || seconds > 3600) {
		fprintf(stderr, "usage: %s [SECONDS]\n", argv[0]);
		return 2;
	}
	if (!check())
		return 1;
	struct result sum = { 0 };
	double bytes = 0;
	uint64_t ns = (uint64_t)(seconds * 1e9 / (2.0 * HEADS * ROUNDS));
	printf("{\"heads\": {");
	for (size_t i = 0; i < HEADS; i++) {
		struct result r = measure(i, ns);
		print_one(i, r);
		sum.crew += r.crew;
		sum.peer += r.peer;
		bytes += (double)lengths[i];
	}
	printf("}, \"bytes\": %.0f, \"crew_bytes_per_s\": %.0f, "
	       "\"libhttp_parser_bytes_per_s\": %.0f, \"ratio\": %.2f}\n",
		bytes, speed(bytes, sum.crew) * 1e6, speed(bytes, sum.peer) * 1e6,
		sum.peer / sum.crew);
	return 0;
}

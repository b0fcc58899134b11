/* fuzz_http1.c - the HTTP/1 parser: requests come to the same however their bytes are cut, and
 * whether their bodies are gathered or taken in parts. */
#include "fuzz.h"

#include "proto/http1.h"

struct told {
	struct transcript requests, trailers;
};

/* What the caller holds of the connection's bytes: always in memory of just that size. */
struct feeder {
	struct crew__http1 parser;
	struct crew__http1_request request;
	const uint8_t *input;
	size_t len, given;
	char *data;
	size_t held;
	struct cutter cutter;
	bool whole; /* not cut at all */
};

static void drop(struct feeder *f, size_t n)
{
	crew__must(n <= f->held);
	char *rest = copy_of(f->data + n, f->held - n);
	free(f->data);
	f->data = rest;
	f->held -= n;
}

/* The next piece. False: there is none. */
static bool give(struct feeder *f)
{
	size_t left = f->len - f->given, n = f->whole ? left : cut(&f->cutter, left);
	if (n == 0)
		return false;
	char *more = malloc(f->held + n);
	crew__must(more);
	memcpy(more, f->data, f->held);
	memcpy(more + f->held, f->input + f->given, n);
	free(f->data);
	f->data = more;
	f->held += n;
	f->given += n;
	return true;
}

static void note_fields(struct transcript *t, const crew_header *fields, size_t count)
{
	note_number(t, count);
	for (size_t i = 0; i < count; i++) {
		note_bytes(t, fields[i].name);
		note_bytes(t, fields[i].value);
		crew__must(crew__http_token(fields[i].name));
		crew__must(crew__http_field_value(fields[i].value));
	}
}

static void note_head(struct transcript *t, const struct crew__http1_request *r)
{
	const crew_request *q = &r->public;
	note_bytes(t, q->method);
	note_bytes(t, q->target);
	note_bytes(t, q->path);
	note_bytes(t, q->query);
	note_bytes(t, q->host);
	note_fields(t, q->headers, q->header_count);
	note_number(t, (uint64_t)q->version);
	note_number(t, (uint64_t)q->keep_alive | (uint64_t)r->upgrade_websocket << 1 |
			       (uint64_t)r->expect_continue << 2 | (uint64_t)r->head_only << 3 |
			       (uint64_t)r->chunked << 4 | (uint64_t)r->ws_repeated << 5);
	note_bytes(t, r->ws_key);
	note_bytes(t, r->ws_version);
	note_bytes(t, r->ws_protocol);
	note_bytes(t, r->ws_extensions);
	crew__must(crew__http_token(q->method) && q->header_count <= CREW__HTTP_HEADERS_MAX);
}

static void note_request(struct told *told, const struct crew__http1_request *r)
{
	note_head(&told->requests, r);
	note_bytes(&told->requests,
		(crew_bytes){ r->public.body.data ? r->public.body.data : "", r->public.body.len });
	note_fields(&told->trailers, r->public.trailers, r->public.trailer_count);
}

static void note_end(struct told *told, const struct feeder *f)
{
	note_number(&told->requests, crew__http1_idle(&f->parser) ? 1 : 2);
}

static void note_bad(struct told *told, int status)
{
	crew__must(status == 400 || status == 413 || status == 414 || status == 417 ||
		   status == 431 || status == 501 || status == 505);
	note_number(&told->requests, (uint64_t)status);
}

/* Bodies gathered where they lie. */
static void run_whole(struct feeder *f, size_t max, struct told *told)
{
	for (;;) {
		size_t consumed = 0;
		int status = 0;
		switch (crew__http1_feed(
			&f->parser, f->data, f->held, max, &f->request, &consumed, &status)) {
		case CREW__HTTP_REQUEST:
			crew__must(consumed > 0 && f->request.public.body.len <= max);
			note_request(told, &f->request);
			drop(f, consumed);
			break;
		case CREW__HTTP_BAD:
			note_bad(told, status);
			return;
		default:
			if (!f->whole && cutter_next(&f->cutter) % 2)
				drop(f, crew__http1_squeeze(&f->parser, f->data, f->held));
			if (!give(f)) {
				note_end(told, f);
				return;
			}
		}
	}
}

/* The body behind a head that has been dropped. True: complete. */
static bool take_parts(struct feeder *f, size_t max, struct transcript *body,
	struct transcript *trailers, int *ret_status)
{
	for (;;) {
		size_t consumed = 0;
		crew_bytes part = { NULL, 0 };
		enum crew__http1_result result = crew__http1_part(
			&f->parser, f->data, f->held, max, &part, &consumed, ret_status);
		if (result == CREW__HTTP_BAD)
			return false;
		crew__must(consumed <= f->held);
		if (result == CREW__HTTP_PART) {
			crew__must(part.len > 0);
			note(body, part.data, part.len);
		}
		crew_header fields[CREW__HTTP_HEADERS_MAX];
		if (result == CREW__HTTP_REQUEST)
			note_fields(trailers, fields,
				crew__http1_trailers(part, fields, CREW__HTTP_HEADERS_MAX));
		drop(f, consumed);
		if (result == CREW__HTTP_REQUEST)
			return true;
		if (result == CREW__HTTP_PART && crew__http1_ended(&f->parser)) {
			note_fields(trailers, NULL, 0);
			return true;
		}
		if (result == CREW__HTTP_MORE && !give(f))
			return false;
	}
}

/* Heads first, then bodies in parts. */
static void run_parts(struct feeder *f, size_t max, struct told *told)
{
	struct transcript head = { 0 }, body = { 0 };
	int status = 0;
	bool good = true;
	while (good) {
		size_t consumed = 0;
		head.len = body.len = 0;
		enum crew__http1_result result = crew__http1_begin(
			&f->parser, f->data, f->held, &f->request, &consumed, &status);
		if (result == CREW__HTTP_BAD)
			break;
		if (result == CREW__HTTP_MORE) {
			good = give(f);
			continue;
		}
		note_head(&head, &f->request);
		drop(f, consumed);
		if (result == CREW__HTTP_HEAD)
			good = take_parts(f, max, &body, &told->trailers, &status);
		else
			note_fields(&told->trailers, NULL, 0);
		if (good) {
			note(&told->requests, head.data, head.len);
			note_bytes(&told->requests,
				(crew_bytes){ body.data ? body.data : "", body.len });
		}
	}
	if (status != 0)
		note_bad(told, status);
	else
		note_end(told, f);
	free(head.data);
	free(body.data);
}

static struct told run(const uint8_t *data, size_t size, size_t max, unsigned seed, bool parts)
{
	struct told told = { 0 };
	struct feeder *f = malloc(sizeof(*f));
	crew__must(f);
	memset(f, 0xA5, sizeof(*f)); /* nothing is taken from what a request held before */
	f->request.max_head = 0;
	f->parser = (struct crew__http1){ 0 };
	f->input = data;
	f->len = size;
	f->given = f->held = 0;
	f->data = copy_of(NULL, 0);
	f->cutter = cutter_of(seed);
	f->whole = seed == 0;
	if (parts)
		run_parts(f, max, &told);
	else
		run_whole(f, max, &told);
	free(f->data);
	free(f);
	return told;
}

static void end(struct told *told)
{
	free(told->requests.data);
	free(told->trailers.data);
}

static void compare(const struct transcript *input, size_t max, unsigned seed)
{
	const uint8_t *data = (const uint8_t *)input->data;
	struct told whole = run(data, input->len, max, 0, false);
	struct told pieces = run(data, input->len, max, seed, false);
	struct told parts = run(data, input->len, max, 0, true);
	struct told small_parts = run(data, input->len, max, seed, true);
	crew__must(same(&whole.requests, &pieces.requests));
	crew__must(same(&whole.trailers, &pieces.trailers));
	crew__must(same(&whole.requests, &parts.requests));
	crew__must(same(&whole.requests, &small_parts.requests));
	crew__must(same(&whole.trailers, &parts.trailers));
	crew__must(same(&whole.trailers, &small_parts.trailers));
	end(&whole);
	end(&pieces);
	end(&parts);
	end(&small_parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t limits[] = { 1000, 0, 1, 20, 4096, 1 << 20, SIZE_MAX, 100 };
	unsigned way = take_byte(&data, &size);
	struct transcript input = { 0 };
	note(&input, data, size);
	/* A head that came in pieces is only looked at once its end is there, so let it be. */
	note(&input, "\r\n\r\n", 4);
	compare(&input, limits[way % 8], (way >> 3) + 1);
	free(input.data);
	return 0;
}

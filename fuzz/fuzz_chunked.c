/* fuzz_chunked.c - chunked bodies: gathered by crew__http1_feed and taken in parts by
 * crew__http1_part they are the same bytes, or deserve the same status; and what was well coded
 * comes out as it was before. */
#include "fuzz.h"

#include "proto/http1.h"

#include <stdio.h>

static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

enum {
	HEAD = sizeof(head) - 1
};

/* What became of a coded body. */
struct outcome {
	int status; /* 0: good, or not complete */
	bool complete;
	size_t used; /* bytes of the coding, when complete */
	struct transcript body, trailers;
};

static void note_trailers(struct outcome *outcome, const crew_header *fields, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		note_bytes(&outcome->trailers, fields[i].name);
		note_bytes(&outcome->trailers, fields[i].value);
	}
}

static struct outcome gather(const char *coded, size_t len, uint64_t max, unsigned seed)
{
	struct outcome outcome = { 0 };
	struct crew__http1 parser = { 0 };
	static struct crew__http1_request request;
	struct cutter cutter = cutter_of(seed);
	size_t given = HEAD, gone = 0;
	char *data = copy_of(coded, len); /* decoded in place, so all of it must stay */
	enum crew__http1_result result;
	do {
		size_t consumed = 0;
		result = crew__http1_feed(&parser, data + gone, given - gone, (size_t)max, &request,
			&consumed, &outcome.status);
		if (result == CREW__HTTP_REQUEST) {
			outcome.complete = true;
			outcome.used = consumed - HEAD + gone;
			note(&outcome.body, request.public.body.data, request.public.body.len);
			note_trailers(
				&outcome, request.public.trailers, request.public.trailer_count);
		}
		if (result != CREW__HTTP_MORE && result != CREW__HTTP_HEAD)
			break;
		gone += crew__http1_squeeze(&parser, data + gone, given - gone);
		if (given == len)
			break;
		given += cut(&cutter, len - given);
	} while (true);
	free(data);
	return outcome;
}

static void begin_parts(struct crew__http1 *parser)
{
	static struct crew__http1_request request;
	size_t consumed = 0;
	int status = 0;
	char *data = copy_of(head, HEAD);
	enum crew__http1_result result = crew__http1_begin(
		parser, data, HEAD, &request, &consumed, &status);
	crew__must(result == CREW__HTTP_HEAD && consumed == HEAD);
	free(data);
}

/* What has come and was not taken, in memory of its own. True: more is wanted. */
static bool take_piece(struct crew__http1 *parser, const char *piece, size_t len, uint64_t max,
	struct outcome *outcome)
{
	char *data = copy_of(piece, len);
	enum crew__http1_result result = CREW__HTTP_PART;
	for (size_t at = 0; result == CREW__HTTP_PART && at < len;) {
		size_t consumed = 0;
		crew_bytes part;
		result = crew__http1_part(
			parser, data + at, len - at, max, &part, &consumed, &outcome->status);
		crew__must(consumed <= len - at);
		if (result == CREW__HTTP_PART) {
			crew__must(part.data >= data && part.data + part.len <= data + len);
			note(&outcome->body, part.data, part.len);
			crew__must(!crew__http1_ended(parser)); /* the coding's end is to come */
		}
		if (result == CREW__HTTP_REQUEST) {
			crew_header trailers[CREW__HTTP_HEADERS_MAX];
			note_trailers(outcome, trailers,
				crew__http1_trailers(part, trailers, CREW__HTTP_HEADERS_MAX));
		}
		at += consumed;
		outcome->used += consumed;
	}
	free(data);
	outcome->complete = result == CREW__HTTP_REQUEST;
	return result == CREW__HTTP_MORE || result == CREW__HTTP_PART;
}

static struct outcome take_parts(const char *coded, size_t len, uint64_t max, unsigned seed)
{
	struct outcome outcome = { 0 };
	struct crew__http1 parser = { 0 };
	struct cutter cutter = cutter_of(seed);
	begin_parts(&parser);
	for (size_t come = HEAD; come < len;) {
		come += seed == 0 ? len - come : cut(&cutter, len - come);
		size_t gone = HEAD + outcome.used;
		if (!take_piece(&parser, coded + gone, come - gone, max, &outcome))
			break;
	}
	return outcome;
}

static void compare(const struct outcome *a, const struct outcome *b)
{
	crew__must(a->status == b->status && a->complete == b->complete);
	if (a->complete)
		crew__must(a->used == b->used && same(&a->body, &b->body) &&
			   same(&a->trailers, &b->trailers));
}

/* The head, and behind it the input, as it is or well coded. */
static void code(struct transcript *out, const uint8_t *data, size_t size, unsigned seed)
{
	struct cutter cutter = cutter_of(seed);
	for (size_t at = 0; at < size;) {
		static const char *const extensions[] = { "", ";a=b", " ;x", "\t;\"q\"" };
		char line[64];
		size_t n = cut(&cutter, size - at);
		int length = snprintf(line, sizeof(line),
			cutter_next(&cutter) % 2 ? "%zx%s\r\n" : "0%zX%s\r\n", n,
			extensions[cutter_next(&cutter) % 4]);
		note(out, line, (size_t)length);
		note(out, data + at, n);
		note(out, "\r\n", 2);
		at += n;
	}
	note(out, "0\r\n", 3);
	if (cutter_next(&cutter) % 2)
		note(out, "Checksum: none\r\n", 16);
	note(out, "\r\n", 2);
}

static void end(struct outcome *outcome)
{
	free(outcome->body.data);
	free(outcome->trailers.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t limits[] = { 1 << 20, 0, 1, 10, 100, INT32_MAX, 1000, 5 };
	unsigned way = take_byte(&data, &size), seed = way >> 4;
	bool coded = way & 8;
	uint64_t max = limits[way % 8];
	struct transcript input = { 0 };
	note(&input, head, HEAD);
	if (coded)
		code(&input, data, size, way);
	else
		note(&input, data, size);
	struct outcome whole = gather(input.data, input.len, max, seed);
	struct outcome parts = take_parts(input.data, input.len, max, 0);
	struct outcome pieces = take_parts(input.data, input.len, max, seed + 1);
	compare(&whole, &parts);
	compare(&whole, &pieces);
	if (coded && size <= max) {
		crew__must(whole.complete && whole.body.len == size);
		crew__must(size == 0 || memcmp(whole.body.data, data, size) == 0);
		crew__must(whole.used == input.len - HEAD);
	} else if (coded) {
		crew__must(whole.status == 413);
	}
	free(input.data);
	end(&whole);
	end(&parts);
	end(&pieces);
	return 0;
}

/* fuzz_multipart.c - forms of parts: the same events however the bytes are cut, and what was well
 * put together comes out as it was. */
#include "fuzz.h"

#include "web/multipart.h"

#include <stdio.h>

/* What was told: bytes that belong together are joined, as they may be cut anywhere. */
struct outcome {
	struct transcript told;
	struct transcript content; /* of all parts */
	bool ended;
};

static void note_event(struct outcome *o, const struct crew__multipart *m,
	enum crew__multipart_event event, crew_bytes data)
{
	if (event == CREW__MULTIPART_DATA) {
		crew__must(data.len > 0);
		note(&o->content, data.data, data.len);
		return;
	}
	note_number(&o->told, event);
	note_number(&o->told, o->content.len);
	if (event != CREW__MULTIPART_PART)
		return;
	crew__must(!memchr(
		m->part.filename.data ? m->part.filename.data : "", '/', m->part.filename.len));
	note_bytes(&o->told, m->part.name);
	note_bytes(&o->told, m->part.filename);
	note_bytes(&o->told, m->part.type);
	note_number(&o->told, m->part.is_file);
}

/* One piece, in memory of its own. False: it failed. */
static bool take_piece(struct crew__multipart *m, const char *piece, size_t len, struct outcome *o)
{
	char *copy = copy_of(piece, len);
	crew_bytes bytes = { copy, len }, data = { NULL, 0 };
	enum crew__multipart_event event;
	while ((event = crew__multipart_next(m, &bytes, &data)) != CREW__MULTIPART_MORE) {
		crew__must(event != CREW__MULTIPART_NO_MEMORY);
		note_event(o, m, event, data);
		if (event >= CREW__MULTIPART_BAD)
			break;
	}
	crew__must(event != CREW__MULTIPART_MORE || bytes.len == 0);
	free(copy);
	return event == CREW__MULTIPART_MORE;
}

/* Seed 0: whole. */
static struct outcome take(crew_bytes boundary, crew_bytes body, unsigned seed)
{
	struct outcome o = { 0 };
	struct crew__multipart m;
	struct cutter cutter = cutter_of(seed);
	crew__multipart_init(&m, boundary);
	for (size_t at = 0, n; at < body.len; at += n) {
		n = seed == 0 ? body.len : cut(&cutter, body.len - at);
		if (!take_piece(&m, body.data + at, n, &o))
			break;
	}
	o.ended = crew__multipart_ended(&m);
	crew__multipart_fini(&m);
	return o;
}

static void free_outcome(struct outcome *o)
{
	free(o->told.data);
	free(o->content.data);
}

static void compare(crew_bytes boundary, crew_bytes body, unsigned seed)
{
	struct outcome whole = take(boundary, body, 0);
	struct outcome pieces = take(boundary, body, seed + 1);
	crew__must(whole.ended == pieces.ended);
	crew__must(same(&whole.told, &pieces.told) && same(&whole.content, &pieces.content));
	free_outcome(&whole);
	free_outcome(&pieces);
}

/* A body of one part with these contents comes out as they were. */
static void check_contents(crew_bytes contents, unsigned seed)
{
	static const char head[] = "--cut-here\r\nContent-Disposition: form-data; name=a\r\n\r\n";
	static const char tail[] = "\r\n--cut-here--\r\n";
	struct transcript body = { 0 };
	note(&body, head, sizeof(head) - 1);
	size_t start = body.len - 2; /* the boundary could begin with the empty line's CRLF */
	note(&body, contents.data, contents.len);
	if (!memmem(body.data + start, body.len - start, "\r\n--cut-here", 12)) {
		note(&body, tail, sizeof(tail) - 1);
		struct outcome o = take(
			CREW_BYTES("cut-here"), (crew_bytes){ body.data, body.len }, seed);
		crew__must(o.ended && o.content.len == contents.len);
		crew__must(contents.len == 0 ||
			   memcmp(o.content.data, contents.data, contents.len) == 0);
		free_outcome(&o);
	}
	free(body.data);
}

/* The first line is a Content-Type, the rest a body with its boundary. */
static void check_type(crew_bytes input, unsigned seed)
{
	const char *end = input.len > 0 ? memchr(input.data, '\n', input.len) : NULL;
	size_t len = end ? (size_t)(end - input.data) : input.len;
	size_t used = len + (end != NULL);
	char *type = copy_of(input.data, len);
	crew_bytes boundary;
	if (crew__multipart_boundary((crew_bytes){ type, len }, &boundary) == 0) {
		crew__must(boundary.len > 0 && boundary.len <= CREW__BOUNDARY_MOST);
		compare(boundary, (crew_bytes){ input.data + used, input.len - used }, seed);
	}
	free(type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned way = take_byte(&data, &size);
	crew_bytes input = { size > 0 ? (const char *)data : "", size };
	switch (way % 4) {
	case 0:
		check_contents(input, way >> 2);
		break;
	case 1:
		check_type(input, way >> 2);
		break;
	default:
		compare(CREW_BYTES("B"), input, way >> 2);
	}
	return 0;
}

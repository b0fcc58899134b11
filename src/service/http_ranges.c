/* http_ranges.c - the body of an answer that lies in a file: the whole, one range, several.
 *
 *   in memory, in one piece ─▸ one message that refers to the bytes
 *   else                    ─▸ a message in parts: begun here, its first part sent at once; what
 * the kernel does not take yet follows when there is room (pull)
 *
 * However long the file, what waits is at most what the queue may hold; and it waits as a place in
 * the file, not as bytes. Every part refers to the file, so that it stays open as long as it is
 * needed. */
#include "service/http_files.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
	PART_MOST = 1024 * 1024, /* in one sendfile */
	PART_LEAST = 4 * 1024,   /* offered even when the queue is nearly full */
	BOUNDARY_BYTES = 16,     /* of randomness: nobody can have put it into the file */
	PART_HEAD_MOST = 512,
	NUMBER_MOST = 80, /* "bytes 1-2/3", three numbers of 20 digits */
};

/* An answer under way. */
struct sending {
	struct crew__file *file;
	struct crew__ranges ranges; /* one at least; of the whole, it is one too */
	uint32_t at;                /* the range in hand */
	uint64_t done;              /* bytes of it that have been offered */
	bool text_due;              /* what stands before it has not been offered */
	const char *type;
	char boundary[2 * BOUNDARY_BYTES + 1]; /* "": one range, in no parts */
};

static void free_sending(void *arg)
{
	struct sending *s = arg;
	crew__file_unref(s->file);
	free(s);
}

static void release_file(void *data, void *arg)
{
	(void)data;
	crew__file_unref(arg);
}

/* ---- several ranges (RFC 9110 section 14.6) ------------------------------------------------ */

static void make_boundary(char *boundary)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char random[BOUNDARY_BYTES];
	crew__must(getrandom(random, sizeof(random), 0) == (ssize_t)sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++) {
		boundary[2 * i] = digits[random[i] >> 4];
		boundary[2 * i + 1] = digits[random[i] & 15];
	}
	boundary[2 * sizeof(random)] = '\0';
}

static int write_range(char *text, const struct crew__range *range, uint64_t size)
{
	return snprintf(text, NUMBER_MOST, "bytes %llu-%llu/%llu", (unsigned long long)range->first,
		(unsigned long long)range->last, (unsigned long long)size);
}

/* What stands before a range, and, behind the last one, what ends them all. */
static size_t write_part_head(const struct sending *s, uint32_t at, char *text)
{
	char numbers[NUMBER_MOST];
	int n;
	if (at == s->ranges.count) {
		n = snprintf(text, PART_HEAD_MOST, "\r\n--%s--\r\n", s->boundary);
	} else {
		write_range(numbers, &s->ranges.items[at], s->file->size);
		n = snprintf(text, PART_HEAD_MOST,
			"%s--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n", at ? "\r\n" : "",
			s->boundary, s->type, numbers);
	}
	crew__must(n > 0 && n < PART_HEAD_MOST); /* a type has its bound: mime.c */
	return (size_t)n;
}

/* Ranges never overlap, so that the sum is hardly more than the file. */
static uint64_t length_of(const struct sending *s)
{
	char text[PART_HEAD_MOST];
	uint64_t length = 0;
	for (uint32_t i = 0; i < s->ranges.count; i++)
		length += crew__range_len(&s->ranges.items[i]);
	for (uint32_t i = 0; s->boundary[0] && i <= s->ranges.count; i++)
		length += write_part_head(s, i, text);
	return length;
}

/* ---- part by part -------------------------------------------------------------------------- */

/* How much may be offered now: no more than what leaves the queue below its limit, so that a file
 * never makes it full. Of what comes to an empty one the kernel takes some at once. */
static uint64_t room_of(const crew_conn *c)
{
	uint64_t queued = c->record->bytes_queued, limit = c->net->limits.max_send_buffer;
	bool empty = crew__queue_empty(&c->queue) && !(c->flags & CREW__C_WRITING);
	uint64_t room = empty ? limit : limit > queued ? limit - queued - 1 : 0;
	return crew__max(PART_LEAST, crew__min(room, PART_MOST));
}

static int64_t offer_bytes(
	crew_conn *c, struct crew__file *file, uint64_t offset, uint32_t len, bool last)
{
	crew__file_ref(file);
	if (!file->body.data) {
		const struct crew__file_part part = {
			.fd = file->fd,
			.offset = offset,
			.len = len,
			.release = release_file,
			.arg = file,
		};
		return crew__conn_part_file(c, &part, last);
	}
	struct crew__out out = {
		.body = { file->body.data + offset, len },
		.hold = CREW__HOLD_REFER,
		.release = release_file,
		.arg = file,
	};
	return crew__conn_part(c, &out, last);
}

/* The last part has been offered. What was on its way may be freed now. */
static int64_t finish(crew_conn *c, struct crew__exchange *e, int64_t queued)
{
	bool close = e->last;
	e->answer = CREW__ANSWER_GIVEN;
	crew__stream_gone(e);
	return crew__answer_offered(c, queued, close);
}

/* The text that comes before the range in hand, or behind all. */
static int64_t offer_text(crew_conn *c, struct crew__exchange *e, struct sending *s, bool *ret_last)
{
	char text[PART_HEAD_MOST];
	size_t len = write_part_head(s, s->at, text);
	struct crew__out out = { .head = { text, len } };
	*ret_last = s->at == s->ranges.count;
	int64_t queued = crew__conn_part(c, &out, *ret_last);
	if (queued < 0)
		return queued;
	s->text_due = false;
	e->left -= len;
	e->body_out += len;
	return queued;
}

/* More of the range in hand. */
static int64_t offer_range(
	crew_conn *c, struct crew__exchange *e, struct sending *s, bool *ret_last)
{
	const struct crew__range *range = &s->ranges.items[s->at];
	uint64_t rest = crew__range_len(range) - s->done;
	uint32_t len = (uint32_t)crew__min(rest, room_of(c));
	*ret_last = !s->boundary[0] && len == rest;
	int64_t queued = offer_bytes(c, s->file, range->first + s->done, len, *ret_last);
	if (queued < 0)
		return queued;
	e->left -= len;
	e->body_out += len;
	s->done += len;
	if (len == rest) {
		s->at++;
		s->done = 0;
		s->text_due = true;
	}
	return queued;
}

/* As much as one turn should take, or all: then the exchange has ended and `s` may be gone. Where
 * the queue is full, go on when it is not. */
static int64_t offer_some(crew_conn *c, struct crew__exchange *e, struct sending *s)
{
	uint64_t enough = e->body_out + PART_MOST;
	bool last = false;
	int64_t queued;
	do {
		if (s->boundary[0] && s->text_due)
			queued = offer_text(c, e, s, &last);
		else
			queued = offer_range(c, e, s, &last);
		if (last && queued != -ENOBUFS)
			return finish(c, e, queued);
	} while (queued >= 0 && e->body_out < enough && room_of(c) > PART_LEAST);
	if (c->record->state <= CREW__CONN_OPEN)
		crew__conn_want_room(c);
	return queued;
}

static void pull(crew_conn *c, void *arg)
{
	offer_some(c, crew__exchange_of(c), arg);
}

/* ---- beginning ----------------------------------------------------------------------------- */

static int64_t refused(crew_conn *c, struct crew__exchange *e, int error)
{
	e->fields.len = e->fields_kept;
	return crew__answer_refused(c, error);
}

/* One message: no body, one that an `after` function has put in place of the file's, or bytes in
 * memory. */
static int64_t send_whole(crew_conn *c, struct crew__exchange *e, const crew_response *response,
	crew_bytes head, struct crew__file *file)
{
	struct crew__out out = { .head = head };
	if (e->framing != CREW__FRAMING_NONE)
		out.body = response->body;
	if (file && out.body.len > 0) {
		out.hold = CREW__HOLD_REFER;
		out.release = release_file;
		out.arg = crew__file_ref(file);
	}
	e->body_out = out.body.len;
	return crew__answer_offered(c, crew__conn_send(c, &out), response->close);
}

/* The head, and from then on parts. */
static int64_t begin_parts(crew_conn *c, struct crew__exchange *e, const crew_response *response,
	crew_bytes head, const struct sending *plan)
{
	struct sending *s = malloc(sizeof(*s));
	struct crew__out out = { .head = head };
	if (!s)
		return crew__answer_offered(c, crew__conn_lose_memory(c, 0, NULL), true);
	*s = *plan;
	crew__file_ref(s->file);
	int64_t queued = crew__conn_begin_parts(c);
	if (queued < 0) {
		free_sending(s);
		return crew__answer_offered(c, queued, true);
	}
	e->answer = CREW__ANSWER_BEGUN;
	e->last = response->close;
	e->pull = pull;
	e->pull_done = free_sending;
	e->pull_arg = s;
	queued = crew__conn_part(c, &out, false);
	if (queued < 0)
		return crew__answer_offered(c, queued, true);
	return offer_some(c, e, s);
}

static int64_t send_now(crew_conn *c, struct crew__exchange *e, const crew_response *response,
	crew_bytes head, const struct sending *plan)
{
	crew_response whole = *response;
	bool parts = e->framing != CREW__FRAMING_NONE && e->left > 0 &&
		     (plan->boundary[0] || !plan->file->body.data);
	if (parts)
		return begin_parts(c, e, response, head, plan);
	if (e->framing != CREW__FRAMING_NONE && e->left > 0)
		whole.body = (crew_bytes){ plan->file->body.data + plan->ranges.items[0].first,
			crew__range_len(&plan->ranges.items[0]) };
	return send_whole(c, e, &whole, head, plan->file);
}

/* As every answer: prepared, then its head. */
static int64_t send_prepared(
	crew_conn *c, struct crew__exchange *e, crew_response response, const struct sending *plan)
{
	crew_worker *w = crew__worker_of(c);
	char *room = crew__answer_room(w);
	if (!room)
		return crew__answer_offered(c, crew__conn_lose_memory(c, 0, NULL), true);
	int error = crew__answer_is_plain(e) ? 0 : crew__answer_prepare(e, &response);
	if (error == -ENOTCONN)
		return crew__service_send(c, (crew_bytes){ NULL, 0 }, CREW_KIND_DEFAULT);
	if (error)
		return refused(c, e, error);
	bool replaced = response.body.len > 0;
	uint64_t length = replaced ? response.body.len : length_of(plan);
	int head = crew__answer_head(e, &response, (int64_t)length, room, CREW__ANSWER_HEAD_MOST);
	if (head < 0)
		return refused(c, e, head);
	crew_bytes text = { room, (size_t)head };
	if (replaced)
		return send_whole(c, e, &response, text, NULL);
	return send_now(c, e, &response, text, plan);
}

/* The fields of a 206 (RFC 9110 section 15.3.7): where it lies, or, of several, each where it
 * stands. */
static void describe_ranges(struct sending *plan, crew_response *response, crew_header *fields,
	char *numbers, char *type)
{
	static const char multipart[] = "multipart/byteranges; boundary=";
	response->status = 206;
	if (plan->ranges.count == 1) {
		int n = write_range(numbers, &plan->ranges.items[0], plan->file->size);
		crew__must(response->header_count < CREW__FILE_FIELDS_MOST);
		fields[response->header_count++] = (crew_header){ CREW_BYTES("Content-Range"),
			{ numbers, (size_t)n } };
		return;
	}
	make_boundary(plan->boundary);
	memcpy(type, multipart, sizeof(multipart) - 1);
	memcpy(type + sizeof(multipart) - 1, plan->boundary, sizeof(plan->boundary));
	response->type = type;
}

int64_t crew__file_send(crew_conn *c, struct crew__file_answer *answer, crew_header *fields)
{
	char numbers[NUMBER_MOST], type[PART_HEAD_MOST];
	struct crew__exchange *e = crew__exchange_of(c);
	struct sending plan = {
		.file = answer->file,
		.ranges = answer->ranges,
		.type = answer->response.type,
		.text_due = true,
	};
	crew_response response = answer->response;
	if (plan.ranges.count > 0) {
		describe_ranges(&plan, &response, fields, numbers, type);
	} else if (plan.file->size > 0) {
		plan.ranges.items[0] = (struct crew__range){ 0, plan.file->size - 1 };
		plan.ranges.count = 1;
	}
	return send_prepared(c, e, response, &plan);
}

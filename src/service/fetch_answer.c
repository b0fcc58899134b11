/* fetch_answer.c - what comes back: heads line by line, and the body, each within its bound.
 *
 * libcurl calls, so nothing here touches its handles: what is wrong is noted (crew__fetch_over) and
 * a return of another length than it gave makes libcurl give up. */
#include "service/fetch_parts.h"

#include "proto/http1.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void crew__fetch_answer_init(struct crew__fetch *fetch)
{
	int64_t most = fetch->request.max_body;
	fetch->answer = (struct crew__fetch_answer){ 0 };
	crew__buf_init(&fetch->answer.head, CREW__FETCH_HEAD_MOST + 2 * CREW__FETCH_FIELDS_MOST);
	crew__buf_init(&fetch->answer.body, most > INT32_MAX ? INT32_MAX : (size_t)most);
}

void crew__fetch_answer_fini(struct crew__fetch *fetch)
{
	crew__buf_release(&fetch->answer.head);
	crew__buf_release(&fetch->answer.body);
}

/* ---- heads --------------------------------------------------------------------------------- */

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static crew_bytes trim(crew_bytes text)
{
	while (text.len > 0 && is_blank(text.data[0])) {
		text.data++;
		text.len--;
	}
	while (text.len > 0 && is_blank(text.data[text.len - 1]))
		text.len--;
	return text;
}

/* "HTTP/1.1 200 OK"; libcurl has looked at it already. */
static int read_status(crew_bytes line)
{
	const char *space = memchr(line.data, ' ', line.len);
	size_t at = space ? (size_t)(space - line.data) + 1 : line.len;
	int status = 0;
	for (size_t i = at; i < at + 3; i++) {
		if (i >= line.len || line.data[i] < '0' || line.data[i] > '9')
			return 0;
		status = status * 10 + (line.data[i] - '0');
	}
	return status;
}

static void begin_head(struct crew__fetch_answer *a, crew_bytes line)
{
	a->status = read_status(line);
	a->in_head = true;
	a->fields = 0;
	crew__buf_consume(&a->head, a->head.len);
}

static int add_text(struct crew__buf *head, crew_bytes text, bool lower)
{
	int error = crew__buf_reserve(head, text.len + 1);
	if (error)
		return error;
	for (size_t i = 0; i < text.len; i++) {
		char byte = text.data[i];
		bool upper = lower && byte >= 'A' && byte <= 'Z';
		head->data[head->len++] = upper ? (char)(byte - 'A' + 'a') : byte;
	}
	head->data[head->len++] = '\0';
	return 0;
}

/* A line that begins with a blank goes on with the value before it (RFC 9112 section 5.2). */
static int add_folded(struct crew__fetch_answer *a, crew_bytes line)
{
	if (a->fields == 0 || line.len == 0)
		return 0;
	a->head.data[a->head.len - 1] = ' ';
	return add_text(&a->head, line, false);
}

static int add_field(struct crew__fetch_answer *a, crew_bytes line)
{
	bool folded = line.data[0] == ' ' || line.data[0] == '\t';
	line = trim(line);
	if (folded)
		return crew__http_field_value(line) ? add_folded(a, line) : -EPROTO;
	const char *colon = memchr(line.data, ':', line.len);
	size_t length = colon ? (size_t)(colon - line.data) : 0;
	crew_bytes name = crew__http_trim((crew_bytes){ line.data, length });
	crew_bytes value = crew__http_trim(
		(crew_bytes){ line.data + length + 1, line.len - length - 1 });
	if (!colon || !crew__http_token(name) || !crew__http_field_value(value))
		return -EPROTO;
	if (++a->fields > CREW__FETCH_FIELDS_MOST)
		return -EMSGSIZE;
	int error = add_text(&a->head, name, true);
	return error ? error : add_text(&a->head, value, false);
}

/* Call `fn` for each field until it returns false. */
static void each_field(const struct crew__fetch_answer *a,
	bool (*fn)(crew_bytes name, crew_bytes value, void *arg), void *arg)
{
	const char *at = a->head.data;
	for (size_t i = 0; i < a->fields; i++) {
		crew_bytes name = crew_str(at);
		crew_bytes value = crew_str(at + name.len + 1);
		if (!fn(name, value, arg))
			return;
		at = value.data + value.len + 1;
	}
}

/* Digits, and the same as those before. */
static bool compare_lengths(crew_bytes name, crew_bytes value, void *arg)
{
	crew_bytes *length = arg;
	if (strcmp(name.data, "content-length") != 0)
		return true;
	bool digits = value.len > 0 && strspn(value.data, "0123456789") == value.len;
	bool first = !length->data;
	if (!digits || (!first && strcmp(length->data, value.data) != 0))
		length->len = 0;
	else if (first)
		*length = value;
	length->data = value.data;
	return length->len > 0;
}

/* Lengths that do not agree, or one that is none, are read by the next reader in another way than
 * by this one (RFC 9112 section 6.3). */
static bool length_is_sound(const struct crew__fetch_answer *a)
{
	crew_bytes length = { NULL, 0 };
	each_field(a, compare_lengths, &length);
	return !length.data || length.len > 0;
}

static int end_head(struct crew__fetch *fetch)
{
	struct crew__fetch_answer *a = &fetch->answer;
	a->in_head = false;
	if (a->status < 200)
		return 0;
	if (!length_is_sound(a))
		return -EPROTO;
	a->final = true;
	bool located = crew__fetch_field(fetch, "location").data != NULL;
	a->following = fetch->request.follows && crew__fetch_is_redirect(a->status, located);
	return 0;
}

/* One line of a head, or behind the body, where nothing is wanted of it. */
static int take_line(struct crew__fetch *fetch, crew_bytes line)
{
	struct crew__fetch_answer *a = &fetch->answer;
	a->head_bytes += line.len;
	if (a->head_bytes > CREW__FETCH_HEAD_MOST)
		return -EMSGSIZE;
	if (a->final)
		return 0;
	if (!a->in_head) {
		begin_head(a, line);
		/* Nobody asked for another protocol, so nothing is known of what follows. */
		return a->status && a->status != 101 ? 0 : -EPROTO;
	}
	if (trim(line).len > 0)
		return add_field(a, line);
	return end_head(fetch);
}

size_t crew__fetch_on_head(char *data, size_t size, size_t count, void *arg)
{
	struct crew__fetch *fetch = arg;
	size_t len = size * count;
	if (fetch->state != CREW__FETCH_CARRIED)
		return len + 1; /* never right, not for an empty line either */
	int error = take_line(fetch, (crew_bytes){ data, len });
	if (error == 0)
		return len;
	if (error == -ENOMEM)
		crew__fetch_over(fetch, -ENOMEM, "no memory for the answer's head");
	else if (error == -EPROTO)
		crew__fetch_over(fetch, -EPROTO, "the answer's head is malformed");
	else
		crew__fetch_over(fetch, -EMSGSIZE,
			"the answer's head is longer than 128 KiB, or has more than 1000 fields");
	return len + 1;
}

struct search {
	const char *name;
	crew_bytes found;
};

static bool compare(crew_bytes name, crew_bytes value, void *arg)
{
	struct search *search = arg;
	if (strcmp(name.data, search->name) != 0)
		return true;
	search->found = value;
	return false;
}

crew_bytes crew__fetch_field(const struct crew__fetch *fetch, const char *name)
{
	struct search search = { .name = name };
	each_field(&fetch->answer, compare, &search);
	return search.found;
}

static bool collect(crew_bytes name, crew_bytes value, void *arg)
{
	crew_header **at = arg;
	*(*at)++ = (crew_header){ name, value };
	return true;
}

crew_header *crew__fetch_fields(const struct crew__fetch *fetch)
{
	size_t count = fetch->answer.fields;
	crew_header *fields = count > 0 ? calloc(count, sizeof(*fields)) : NULL;
	crew_header *at = fields;
	if (fields)
		each_field(&fetch->answer, collect, &at);
	return fields;
}

/* ---- the body ------------------------------------------------------------------------------ */

/* 0, or the program does not want it now (-EAGAIN) or at all. */
static int hand_over(struct crew__fetch *fetch, crew_bytes part)
{
	crew_worker *w = fetch->owner->worker;
	struct crew__entered before = crew__enter(w, CREW__CB_FETCH);
	int answer = fetch->on_body(fetch->id, fetch->answer.status, part, fetch->arg);
	crew__leave(w, before);
	if (answer < 0 && answer != -EAGAIN)
		crew__fetch_over(fetch, -ECANCELED, "on_body gave up (%d)", answer);
	return answer < 0 ? answer : 0;
}

static int gather(struct crew__fetch *fetch, crew_bytes part)
{
	int error = crew__buf_append(&fetch->answer.body, part.data, part.len);
	if (error)
		crew__fetch_over(fetch, -ENOMEM, "no memory for the answer's body");
	return error;
}

size_t crew__fetch_on_body(char *data, size_t size, size_t count, void *arg)
{
	struct crew__fetch *fetch = arg;
	struct crew__fetch_answer *a = &fetch->answer;
	crew_bytes part = { data, size * count };
	if (fetch->state != CREW__FETCH_CARRIED)
		return part.len + 1;
	if (part.len == 0)
		return 0;
	uint64_t total = a->body_bytes + part.len;
	if (a->following) {
		a->body_bytes = total;
		return total > CREW__FETCH_REST_MOST ? part.len + 1 : part.len;
	}
	if (total > (uint64_t)fetch->request.max_body) {
		crew__fetch_over(fetch, -EMSGSIZE, "the answer is longer than max_body, %lld bytes",
			(long long)fetch->request.max_body);
		return part.len + 1;
	}
	int error = fetch->on_body ? hand_over(fetch, part) : gather(fetch, part);
	if (fetch->state != CREW__FETCH_CARRIED)
		return part.len + 1; /* stopped, perhaps by its own callback */
	if (error == -EAGAIN) {
		fetch->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	a->body_bytes = total;
	return part.len;
}

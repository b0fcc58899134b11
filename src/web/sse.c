/* sse.c - see sse.h. One walk serves both: without room it only measures. */
#include "web/sse.h"

struct text {
	char *room; /* NULL: only measure */
	size_t len;
};

static void put(struct text *t, const char *data, size_t len)
{
	if (t->room && data && len > 0)
		memcpy(t->room + t->len, data, len);
	t->len += len;
}

#define PUT(t, literal) put((t), "" literal, sizeof(literal) - 1)

static bool has_break(crew_bytes text)
{
	return text.len > 0 &&
	       (memchr(text.data, '\n', text.len) || memchr(text.data, '\r', text.len));
}

bool crew__sse_is_line(crew_bytes data)
{
	return !has_break(data);
}

bool crew__sse_valid(const crew_event *e)
{
	bool data = e->data.data || e->data.len == 0;
	return data && e->retry_ms >= 0 && !has_break(crew_str(e->name)) &&
	       !has_break(crew_str(e->id));
}

static void put_number(struct text *t, int64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	put(t, digits + at, sizeof(digits) - at);
}

/* The length of the first line, and of the break behind it. */
static size_t first_line(const char *at, const char *end, size_t *ret_break)
{
	const char *stop = at;
	while (stop < end && *stop != '\n' && *stop != '\r')
		stop++;
	*ret_break = 0;
	if (stop < end)
		*ret_break = *stop == '\r' && end - stop > 1 && stop[1] == '\n' ? 2 : 1;
	return (size_t)(stop - at);
}

/* A break at the end of the data is one more line, an empty one. */
static void put_data(struct text *t, crew_bytes data)
{
	const char *at = data.data;
	const char *end = data.len > 0 ? at + data.len : at;
	size_t gap;
	do {
		size_t len = first_line(at, end, &gap);
		PUT(t, CREW__SSE_DATA_HEAD);
		put(t, at, len);
		PUT(t, "\n");
		at = gap > 0 ? at + len + gap : at;
	} while (gap > 0);
}

static void put_event(struct text *t, const crew_event *e)
{
	bool only_tells = !e->data.data && !e->name && (e->id || e->retry_ms > 0);
	if (e->name && *e->name) {
		PUT(t, "event: ");
		put(t, e->name, strlen(e->name));
		PUT(t, "\n");
	}
	if (e->id) {
		PUT(t, "id: ");
		put(t, e->id, strlen(e->id));
		PUT(t, "\n");
	}
	if (e->retry_ms > 0) {
		PUT(t, "retry: ");
		put_number(t, e->retry_ms);
		PUT(t, "\n");
	}
	if (!only_tells)
		put_data(t, e->data);
	PUT(t, "\n");
}

size_t crew__sse_size(const crew_event *event)
{
	struct text t = { NULL, 0 };
	put_event(&t, event);
	return t.len;
}

void crew__sse_write(const crew_event *event, char *room)
{
	struct text t = { room, 0 };
	put_event(&t, event);
}

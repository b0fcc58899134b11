#include "web/multipart.h"

#include "proto/http1.h"
#include "web/field_params.h"

/*   PREAMBLE ──boundary──▸ BEHIND ──CR──▸ BEHIND_CR ──LF──▸ HEAD ──empty line──▸ CONTENT
 *                            │  ▴                                                   │
 *                            │  └───────────────── boundary (PART_END) ─────────────┘
 *                            └──-──▸ DASH ──-──▸ (END) EPILOGUE            FAILED: from anywhere */
enum state {
	PREAMBLE,
	BEHIND,  /* a boundary; at its first byte it may still be the last */
	PADDING, /* behind a boundary and spaces */
	BEHIND_CR,
	DASH,
	HEAD,
	CONTENT,
	EPILOGUE,
	FAILED,
};

/* ---- the boundary --------------------------------------------------------------------------- */

bool crew__multipart_is(crew_bytes content_type)
{
	struct crew__field_params params;
	return crew__http_same(
		crew__field_params_begin(&params, content_type), CREW_BYTES("multipart/form-data"));
}

static bool is_boundary(crew_bytes text)
{
	static const char others[] = "'()+_,-./:=? ";
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!letter && !(c >= '0' && c <= '9') && (c == '\0' || !strchr(others, c)))
			return false;
	}
	return text.len > 0 && text.len <= CREW__BOUNDARY_MOST && text.data[text.len - 1] != ' ';
}

int crew__multipart_boundary(crew_bytes content_type, crew_bytes *ret_boundary)
{
	struct crew__field_params params;
	struct crew__field_param param;
	crew_bytes found = { NULL, 0 };
	int more;
	crew__field_params_begin(&params, content_type);
	while ((more = crew__field_params_next(&params, &param)) > 0) {
		if (!crew__http_same(param.name, CREW_BYTES("boundary")))
			continue;
		if (found.data || !is_boundary(param.value))
			return -EINVAL;
		found = param.value;
	}
	if (more < 0 || !found.data)
		return -EINVAL;
	*ret_boundary = found;
	return 0;
}

void crew__multipart_init(struct crew__multipart *m, crew_bytes boundary)
{
	size_t len = crew__min(boundary.len, CREW__BOUNDARY_MOST);
	*m = (struct crew__multipart){
		.state = PREAMBLE,
		.delimiter_len = (uint8_t)(4 + len),
		.matched = 2, /* the first may stand at the very start, without its CRLF */
		.silent = 2,
	};
	memcpy(m->delimiter, "\r\n--", 4);
	memcpy(m->delimiter + 4, boundary.data, len);
	crew__buf_init(&m->head, CREW__PART_HEAD_MOST);
}

void crew__multipart_fini(struct crew__multipart *m)
{
	crew__buf_release(&m->head);
}

/* ---- between boundaries --------------------------------------------------------------------- */

static void skip(crew_bytes *bytes, size_t n)
{
	bytes->data += n;
	bytes->len -= n;
}

/* Go on with a boundary that has begun. True when it is decided: it was one (all is matched), or
 * not (nothing is), and then `*ret_data` are those bytes that only looked like it. A CR is nowhere
 * in it but at its start, so no other can have begun within them. */
static bool match_on(struct crew__multipart *m, crew_bytes *bytes, crew_bytes *ret_data)
{
	while (bytes->len > 0 && m->matched < m->delimiter_len &&
		*bytes->data == m->delimiter[m->matched]) {
		m->matched++;
		skip(bytes, 1);
	}
	if (m->matched < m->delimiter_len && bytes->len == 0)
		return false;
	if (m->matched < m->delimiter_len) {
		*ret_data = (crew_bytes){ m->delimiter + m->silent,
			(size_t)m->matched - m->silent };
		m->matched = 0;
	}
	m->silent = 0;
	return true;
}

/* How many bytes at the end could begin a boundary. */
static uint8_t begun(const struct crew__multipart *m, crew_bytes bytes)
{
	size_t tail = crew__min(bytes.len, (size_t)m->delimiter_len - 1);
	const char *end = bytes.data + bytes.len;
	const char *cr = memrchr(end - tail, '\r', tail);
	size_t len = cr ? (size_t)(end - cr) : 0;
	return cr && memcmp(cr, m->delimiter, len) == 0 ? (uint8_t)len : 0;
}

/* What lies before the next boundary, or before the end and what could begin one there. */
static crew_bytes search(struct crew__multipart *m, crew_bytes *bytes)
{
	const char *found = memmem(bytes->data, bytes->len, m->delimiter, m->delimiter_len);
	m->matched = found ? m->delimiter_len : begun(m, *bytes);
	size_t len = found ? (size_t)(found - bytes->data) : bytes->len - m->matched;
	crew_bytes before = { bytes->data, len };
	skip(bytes, len + m->matched);
	return before;
}

/* True when a boundary has come; what of `bytes` lies before it is `*ret_data`, perhaps nothing. */
static bool look(struct crew__multipart *m, crew_bytes *bytes, crew_bytes *ret_data)
{
	*ret_data = (crew_bytes){ NULL, 0 };
	if (m->matched > 0 && !match_on(m, bytes, ret_data))
		return false;
	if (m->matched == 0 && ret_data->len == 0 && bytes->len > 0)
		*ret_data = search(m, bytes);
	return m->matched == m->delimiter_len;
}

static enum crew__multipart_event pass_preamble(struct crew__multipart *m, crew_bytes *bytes)
{
	crew_bytes data;
	while (bytes->len > 0 && !look(m, bytes, &data))
		continue;
	if (m->matched == m->delimiter_len) {
		m->matched = 0;
		m->state = BEHIND;
	}
	return CREW__MULTIPART_MORE;
}

static enum crew__multipart_event take_content(
	struct crew__multipart *m, crew_bytes *bytes, crew_bytes *ret_data)
{
	bool found = look(m, bytes, ret_data);
	if (ret_data->len > 0)
		return CREW__MULTIPART_DATA; /* a boundary behind it is told by the next call */
	if (!found)
		return CREW__MULTIPART_MORE;
	m->matched = 0;
	m->state = BEHIND;
	return CREW__MULTIPART_PART_END;
}

/* ---- boundaries and heads ------------------------------------------------------------------- */

static enum crew__multipart_event fail(struct crew__multipart *m, enum crew__multipart_event why)
{
	m->state = FAILED;
	m->failure = (uint8_t)why;
	return why;
}

static enum crew__multipart_event behind_boundary(struct crew__multipart *m, crew_bytes *bytes)
{
	char c = *bytes->data;
	skip(bytes, 1);
	if (m->state == DASH && c == '-') {
		m->state = EPILOGUE;
		return CREW__MULTIPART_END;
	}
	if (m->state == BEHIND && c == '-') {
		m->state = DASH;
	} else if (m->state == BEHIND_CR && c == '\n') {
		m->state = HEAD;
		m->head.len = 0;
	} else if ((m->state == BEHIND || m->state == PADDING) && (c == ' ' || c == '\t')) {
		m->state = PADDING;
	} else if ((m->state == BEHIND || m->state == PADDING) && c == '\r') {
		m->state = BEHIND_CR;
	} else {
		return fail(m, CREW__MULTIPART_BAD);
	}
	return CREW__MULTIPART_MORE;
}

static bool head_is_whole(const struct crew__buf *head)
{
	return head->len >= 4 && memcmp(head->data + head->len - 4, "\r\n\r\n", 4) == 0;
}

static enum crew__multipart_event begin_part(struct crew__multipart *m)
{
	if (m->parts++ == CREW__PARTS_MOST)
		return fail(m, CREW__MULTIPART_TOO_LARGE);
	if (crew__part_head_read(m->head.data, m->head.len - 2, &m->part) < 0)
		return fail(m, CREW__MULTIPART_BAD);
	m->state = CONTENT;
	m->matched = m->silent = 2; /* without contents, the empty line is the boundary's CRLF */
	return CREW__MULTIPART_PART;
}

/* Line by line, so that no byte behind the head is touched. */
static enum crew__multipart_event take_head(struct crew__multipart *m, crew_bytes *bytes)
{
	const char *end = memchr(bytes->data, '\n', bytes->len);
	size_t len = end ? (size_t)(end - bytes->data) + 1 : bytes->len;
	int error = crew__buf_append(&m->head, bytes->data, len);
	if (error)
		return fail(m,
			error == -ENOBUFS ? CREW__MULTIPART_TOO_LARGE : CREW__MULTIPART_NO_MEMORY);
	skip(bytes, len);
	if (m->head.len == 2 && memcmp(m->head.data, "\r\n", 2) == 0)
		return fail(m, CREW__MULTIPART_BAD); /* no field, so no name */
	return end && head_is_whole(&m->head) ? begin_part(m) : CREW__MULTIPART_MORE;
}

enum crew__multipart_event crew__multipart_next(
	struct crew__multipart *m, crew_bytes *bytes, crew_bytes *ret_data)
{
	enum crew__multipart_event event = CREW__MULTIPART_MORE;
	if (m->state == FAILED)
		return (enum crew__multipart_event)m->failure;
	while (event == CREW__MULTIPART_MORE &&
		(bytes->len > 0 || (m->state == CONTENT && m->matched == m->delimiter_len))) {
		switch ((enum state)m->state) {
		case PREAMBLE:
			event = pass_preamble(m, bytes);
			break;
		case CONTENT:
			event = take_content(m, bytes, ret_data);
			break;
		case HEAD:
			event = take_head(m, bytes);
			break;
		case EPILOGUE:
			skip(bytes, bytes->len);
			break;
		default:
			event = behind_boundary(m, bytes);
		}
	}
	return event;
}

bool crew__multipart_ended(const struct crew__multipart *m)
{
	return m->state == EPILOGUE;
}

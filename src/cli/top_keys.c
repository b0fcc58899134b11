/* top_keys.c - from bytes to keys, from keys to what the operator sees. */
#include "cli/top_keys.h"

#include "cli/screen.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	ESCAPE = 0x1b,
	DELETE = 0x7f,
	BACKSPACE = 0x08,
	SEQUENCE_MAX = 16 /* a longer one is none */
};

void crew__top_state_fini(struct crew__top_state *state)
{
	free(state->explanation);
	state->explanation = NULL;
}

void crew__top_say(struct crew__top_state *state, bool bad, const char *text)
{
	crew__screen_clean(state->message, sizeof(state->message), text, strcspn(text, "\r\n"));
	state->message_bad = bad;
}

/* ---- bytes to keys ------------------------------------------------------------------------- */

/* Control sequences (ECMA-48, 5.4): parameters, then one final byte. "~" has its key in its first
 * parameter. */
static int key_of_sequence(char final, const char *parameters)
{
	static const int numbered[] = { [1] = CREW__KEY_HOME,
		[4] = CREW__KEY_END,
		[5] = CREW__KEY_PAGE_UP,
		[6] = CREW__KEY_PAGE_DOWN,
		[7] = CREW__KEY_HOME,
		[8] = CREW__KEY_END };
	unsigned long number = final == '~' ? strtoul(parameters, NULL, 10) : 0;
	switch (final) {
	case 'A':
		return CREW__KEY_UP;
	case 'B':
		return CREW__KEY_DOWN;
	case 'H':
		return CREW__KEY_HOME;
	case 'F':
		return CREW__KEY_END;
	default:
		return number < crew__lengthof(numbered) && numbered[number] ? numbered[number]
									     : CREW__KEY_UNKNOWN;
	}
}

/* ESC [ or ESC O: how long, 0 when it is not whole. */
static size_t sequence_length(const char *bytes, size_t len)
{
	for (size_t i = 2; i < len; i++)
		if (bytes[i] >= 0x40 && bytes[i] <= 0x7e)
			return i + 1;
	return 0;
}

static int take_escape(const char *bytes, size_t len, bool more, size_t *ret_used)
{
	char parameters[SEQUENCE_MAX];
	*ret_used = 1;
	if (len == 1)
		return more ? CREW__KEY_NONE : CREW__KEY_ESCAPE;
	if (bytes[1] != '[' && bytes[1] != 'O')
		return CREW__KEY_ESCAPE;
	size_t length = sequence_length(bytes, len);
	if (length == 0 && more && len < SEQUENCE_MAX)
		return CREW__KEY_NONE;
	*ret_used = length ? length : len;
	if (length == 0 || length >= SEQUENCE_MAX)
		return CREW__KEY_UNKNOWN;
	memcpy(parameters, bytes + 2, length - 2);
	parameters[length - 2] = '\0';
	return key_of_sequence(bytes[length - 1], parameters);
}

/* A character beyond ASCII; what is none is told as U+FFFD, a byte at a time. */
static int take_character(const char *bytes, size_t len, bool more, size_t *ret_used)
{
	unsigned char first = (unsigned char)bytes[0];
	size_t need = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	int character = first & (0xff >> (need + 1));
	if (len < need && more)
		return CREW__KEY_NONE;
	*ret_used = 1;
	if (len < need || !crew__utf8_valid((crew_bytes){ bytes, need }))
		return 0xfffd;
	for (size_t i = 1; i < need; i++)
		character = character << 6 | (bytes[i] & 0x3f);
	*ret_used = need;
	return character;
}

int crew__top_key(const char *bytes, size_t len, bool more, size_t *ret_used)
{
	unsigned char first = (unsigned char)bytes[0];
	*ret_used = 1;
	if (first >= 0x80)
		return take_character(bytes, len, more, ret_used);
	switch (first) {
	case ESCAPE:
		return take_escape(bytes, len, more, ret_used);
	case '\r':
	case '\n':
		return CREW__KEY_ENTER;
	case BACKSPACE:
	case DELETE:
		return CREW__KEY_BACKSPACE;
	default:
		return first < 0x20 ? CREW__KEY_UNKNOWN : first;
	}
}

/* ---- the cursor ---------------------------------------------------------------------------- */

static size_t row_count(const struct crew__top_look *look)
{
	return look ? look->row_count : 0;
}

static const struct crew__connection *under_cursor(
	const struct crew__top_state *state, const struct crew__top_look *look)
{
	return state->cursor < row_count(look) ? look->rows[state->cursor].connection : NULL;
}

static void move_to(struct crew__top_state *state, const struct crew__top_look *look, size_t row)
{
	size_t count = row_count(look);
	state->cursor = count == 0 ? 0 : crew__min(row, count - 1);
	const struct crew__connection *connection = under_cursor(state, look);
	state->followed = connection ? connection->id : 0;
}

void crew__top_rows_changed(struct crew__top_state *state, const struct crew__top_look *look)
{
	size_t count = row_count(look), row = 0;
	while (state->followed && row < count && look->rows[row].connection->id != state->followed)
		row++;
	if (state->followed && row < count) {
		state->cursor = row;
		return;
	}
	state->followed = 0;
	if (state->cursor >= count)
		state->cursor = count ? count - 1 : 0;
}

/* Where a key moves from `at`, among `count` things of which `page` are seen; `at`: nowhere. */
static size_t moved(int key, size_t at, size_t count, size_t page)
{
	size_t most = count ? count - 1 : 0;
	page = crew__max(page, 1);
	switch (key) {
	case CREW__KEY_UP:
	case 'k':
		return at ? at - 1 : 0;
	case CREW__KEY_DOWN:
	case 'j':
		return crew__min(at + 1, most);
	case CREW__KEY_PAGE_UP:
		return at > page ? at - page : 0;
	case CREW__KEY_PAGE_DOWN:
		return crew__min(at + page, most);
	case CREW__KEY_HOME:
	case 'g':
		return 0;
	case CREW__KEY_END:
	case 'G':
		return most;
	default:
		return at;
	}
}

static bool is_movement(int key)
{
	return (key >= CREW__KEY_UP && key <= CREW__KEY_END) || key == 'j' || key == 'k' ||
	       key == 'g' || key == 'G';
}

/* ---- keys by mode -------------------------------------------------------------------------- */

static bool choose_subject(struct crew__top_state *state, const struct crew__top_look *look)
{
	const struct crew__connection *connection = under_cursor(state, look);
	if (!connection) {
		crew__top_say(state, true, "there is no connection to choose");
		return false;
	}
	state->subject = state->followed = connection->id;
	snprintf(state->subject_name, sizeof(state->subject_name), "%016" PRIx64 " (%s, %s)",
		connection->id, connection->service,
		connection->remote[0] ? connection->remote : connection->transport);
	return true;
}

static enum crew__top_action explain(
	struct crew__top_state *state, const struct crew__top_look *look)
{
	if (!choose_subject(state, look))
		return CREW__TOP_DRAW;
	state->mode = CREW__TOP_EXPLAIN;
	state->scroll = 0;
	free(state->explanation);
	state->explanation = NULL;
	return CREW__TOP_DESCRIBE;
}

static enum crew__top_action press_in_list(
	struct crew__top_state *state, const struct crew__top_look *look, int key)
{
	if (is_movement(key)) {
		move_to(state, look, moved(key, state->cursor, row_count(look), state->page));
		return CREW__TOP_DRAW;
	}
	switch (key) {
	case 'q':
		return CREW__TOP_QUIT;
	case ' ':
		return CREW__TOP_LOOK;
	case 's':
		crew__top_order_next(&state->order);
		return CREW__TOP_ARRANGE;
	case 'S':
		state->order.reverse = !state->order.reverse;
		return CREW__TOP_ARRANGE;
	case 'p':
		state->paused = !state->paused;
		return state->paused ? CREW__TOP_DRAW : CREW__TOP_LOOK;
	case 'f':
	case '/':
		state->mode = CREW__TOP_FILTER;
		memcpy(state->old_filter, state->order.filter, sizeof(state->old_filter));
		return CREW__TOP_DRAW;
	case CREW__KEY_ESCAPE:
		state->order.filter[0] = '\0';
		return CREW__TOP_ARRANGE;
	case 'e':
	case CREW__KEY_ENTER:
		return explain(state, look);
	case 'x':
		if (choose_subject(state, look))
			state->mode = CREW__TOP_CONFIRM;
		return CREW__TOP_DRAW;
	default:
		return CREW__TOP_DRAW;
	}
}

/* Away with the last character, all its bytes. */
static void erase_last(char *text)
{
	size_t len = strlen(text);
	while (len > 0 && ((unsigned char)text[len - 1] & 0xc0) == 0x80)
		len--;
	text[len ? len - 1 : 0] = '\0';
}

static void add_character(char *text, size_t size, int character)
{
	size_t len = strlen(text);
	char bytes[4];
	size_t n = 0;
	unsigned c = (unsigned)character;
	if (c < 0x80) {
		bytes[n++] = (char)c;
	} else if (c < 0x800) {
		bytes[n++] = (char)(0xc0 | c >> 6);
	} else {
		if (c >= 0x10000) {
			bytes[n++] = (char)(0xf0 | c >> 18);
			bytes[n++] = (char)(0x80 | (c >> 12 & 0x3f));
		} else {
			bytes[n++] = (char)(0xe0 | c >> 12);
		}
		bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	}
	if (c >= 0x80)
		bytes[n++] = (char)(0x80 | (c & 0x3f));
	if (len + n < size) {
		memcpy(text + len, bytes, n);
		text[len + n] = '\0';
	}
}

static enum crew__top_action press_in_filter(struct crew__top_state *state, int key)
{
	char *filter = state->order.filter;
	switch (key) {
	case CREW__KEY_ENTER:
		state->mode = CREW__TOP_LIST;
		return CREW__TOP_DRAW;
	case CREW__KEY_ESCAPE:
		state->mode = CREW__TOP_LIST;
		memcpy(filter, state->old_filter, sizeof(state->old_filter));
		return CREW__TOP_ARRANGE;
	case CREW__KEY_BACKSPACE:
		erase_last(filter);
		return CREW__TOP_ARRANGE;
	default:
		/* U+0080 to U+009F control terminals. */
		if (key < CREW__KEY_UP && (key < 0x80 || key >= 0xa0))
			add_character(filter, sizeof(state->order.filter), key);
		return CREW__TOP_ARRANGE;
	}
}

static enum crew__top_action press_in_explanation(struct crew__top_state *state, int key)
{
	size_t seen = state->lines_shown;
	size_t places = state->lines > seen ? state->lines - seen + 1 : 1;
	state->scroll = moved(key, crew__min(state->scroll, places - 1), places, seen);
	switch (key) {
	case 'q':
	case 'e':
	case CREW__KEY_ENTER:
	case CREW__KEY_ESCAPE:
		state->mode = CREW__TOP_LIST;
		return CREW__TOP_DRAW;
	case 'x':
		state->mode = CREW__TOP_CONFIRM;
		return CREW__TOP_DRAW;
	case 'p':
		state->paused = !state->paused;
		return state->paused ? CREW__TOP_DRAW : CREW__TOP_LOOK;
	case ' ':
		return CREW__TOP_LOOK;
	default:
		return CREW__TOP_DRAW;
	}
}

enum crew__top_action crew__top_press(
	struct crew__top_state *state, const struct crew__top_look *look, int key)
{
	state->message[0] = '\0';
	switch (state->mode) {
	case CREW__TOP_LIST:
		return press_in_list(state, look, key);
	case CREW__TOP_FILTER:
		return press_in_filter(state, key);
	case CREW__TOP_EXPLAIN:
		return press_in_explanation(state, key);
	case CREW__TOP_CONFIRM:
		state->mode = CREW__TOP_LIST;
		if (key == 'y' || key == 'Y')
			return CREW__TOP_KICK;
		crew__top_say(state, false, "nobody was kicked");
		break;
	}
	return CREW__TOP_DRAW;
}

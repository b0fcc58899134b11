/* top_keys.h - what the keys of `top` do: the state that the operator sees and changes.
 *
 * A key changes the state at once and may ask for more, which top.c does: a fresh look, an
 * explanation, a kick. Nothing here knows a terminal or a program. */
#ifndef CREW_CLI_TOP_KEYS_H
#define CREW_CLI_TOP_KEYS_H

#include "cli/top_model.h"

/* Keys that are no character. */
enum {
	CREW__KEY_NONE = -1,
	CREW__KEY_UP = 0x110000, /* beyond every character */
	CREW__KEY_DOWN,
	CREW__KEY_PAGE_UP,
	CREW__KEY_PAGE_DOWN,
	CREW__KEY_HOME,
	CREW__KEY_END,
	CREW__KEY_ESCAPE,
	CREW__KEY_ENTER,
	CREW__KEY_BACKSPACE,
	CREW__KEY_UNKNOWN, /* a sequence that means nothing here */
};

enum crew__top_mode {
	CREW__TOP_LIST,
	CREW__TOP_FILTER,  /* the filter is being typed, and is in force */
	CREW__TOP_EXPLAIN, /* `subject` is explained instead of the list */
	CREW__TOP_CONFIRM, /* shall `subject` be kicked? */
};

/* What a key asks for, beyond drawing the state anew. */
enum crew__top_action {
	CREW__TOP_DRAW,
	CREW__TOP_LOOK,     /* look again, now */
	CREW__TOP_ARRANGE,  /* the order or the filter changed */
	CREW__TOP_DESCRIBE, /* make the explanation of `subject` */
	CREW__TOP_KICK,     /* `subject` */
	CREW__TOP_QUIT
};

enum {
	CREW__TOP_MESSAGE_MAX = 256
};

struct crew__top_state {
	enum crew__top_mode mode;
	struct crew__top_order order;
	char old_filter[CREW__TOP_FILTER_MAX]; /* what Escape brings back */
	bool paused;

	/* The cursor stands on a row; once it was moved it follows that connection, until that is
	 * no longer there. */
	size_t cursor;
	uint64_t followed; /* 0: nobody */
	size_t offset;     /* the first row that is shown */
	size_t page;       /* how many were shown last; of the drawing */

	uint64_t subject; /* of an explanation or a kick */
	char subject_name[CREW__ADDRESS_TEXT_MAX + CREW__NAME_MAX + 32];
	char *explanation;         /* owned; NULL: none yet */
	size_t scroll;             /* its first line that is shown */
	size_t lines, lines_shown; /* of the drawing */

	char message[CREW__TOP_MESSAGE_MAX]; /* until the next key; "": none */
	bool message_bad;
	char trouble[CREW__TOP_MESSAGE_MAX]; /* why the numbers are not those of now; "": they are
					      */
};

void crew__top_state_fini(struct crew__top_state *state);

/* A key was pressed. `look` may be NULL: nothing was seen yet. */
enum crew__top_action crew__top_press(
	struct crew__top_state *state, const struct crew__top_look *look, int key);

/* The rows are others now: the cursor goes to whom it follows. */
void crew__top_rows_changed(struct crew__top_state *state, const struct crew__top_look *look);

/* Say something until the next key; only its first line is kept. */
void crew__top_say(struct crew__top_state *state, bool bad, const char *text);

/* The first key in `len > 0` bytes from a terminal; `*ret_used` are its bytes. CREW__KEY_NONE when
 * it is not whole and `more` may come; an Escape that nothing follows is the key itself. */
int crew__top_key(const char *bytes, size_t len, bool more, size_t *ret_used);

#endif

/* form_ways.h - what tests of forms and uploads have in common: a service whose handler looks at
 * requests, forms of parts, and files whose bytes tell where they belong. */
#ifndef CREW_TESTS_FORM_WAYS_H
#define CREW_TESTS_FORM_WAYS_H

#include "net_ways.h"

enum {
	FORM_ROOM = 1 << 22,
	FORM_LIMIT = 1 << 20, /* max_message */
};

typedef void look_fn(crew_conn *c, const crew_request *r);

/* Of the test that runs. */
struct form_world {
	struct world world;
	int peer;
	char *room;           /* the last answer */
	char directory[64];   /* upload_dir */
	look_fn *look;        /* what the handler does before it answers 204 */
	crew_request *kept;   /* by keep_it */
	unsigned descriptors; /* open when the test began */
};
extern struct form_world t;

void form_open(void **state, look_fn *look);
int form_clean_up(void **state);

bool is(crew_bytes bytes, const char *word);
unsigned descriptors(void);

/* The status of the answer to these bytes; 0 without one. */
int ask_bytes(crew_bytes bytes);
int ask(const char *text);

#define POST(type, length, body)                                                              \
	"POST /?q=1 HTTP/1.1\r\nHost: a\r\nContent-Type: " type "\r\nContent-Length: " length \
	"\r\n\r\n" body

#define FIELD(name, value) \
	"--B\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define A_FILE(name, filename, head, value)                                              \
	"--B\r\nContent-Disposition: form-data; name=\"" name "\"; filename=\"" filename \
	"\"\r\n" head "\r\n" value "\r\n"
#define MULTIPART "multipart/form-data; boundary=B"

/* A form of parts: its status. */
int post(const char *body);
/* One with a file `f` of so many bytes. */
int post_file(size_t len);

/* Contents in which the place says which byte is there. */
void fill(char *data, size_t len);
void assert_filled(const char *data, size_t len);
void assert_file_filled(int fd, size_t len);

/* A form with fields and short files, and a handler that knows it: tells "looked". */
extern const char mixed[];
void look_at_parts(crew_conn *c, const crew_request *r);
/* One that knows what post_file() posts: tells its size. */
void look_at_long(crew_conn *c, const crew_request *r);
/* One that keeps the request. */
void keep_it(crew_conn *c, const crew_request *r);

#endif

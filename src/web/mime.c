/* mime.c - the media type of a file, by what its name ends with.
 *
 * A hash table with open addressing from extension to type; all texts lie in one arena. It only
 * grows while it is made. */
#include "web/mime.h"

#include "base/arena.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	FILE_MOST = 1024 * 1024,
	MEMORY_MOST = 8 * 1024 * 1024,
	EXTENSION_MOST = 32,
	TYPE_MOST = 128,    /* RFC 6838 section 4.2 */
	SLOTS_FIRST = 1024, /* a power of two */
};

static const char unknown[] = "application/octet-stream";

struct slot {
	const char *extension; /* NULL: free; in lower case */
	const char *type;
};

struct crew__mime {
	struct crew__arena arena;
	struct slot *slots;
	uint32_t count;
	uint32_t slot_count; /* a power of two, at least twice the count */
};

/* In the form of the file. What the system's table has counts before it. */
static const char own_table[] = "text/html html htm\n"
				"text/css css\n"
				"text/javascript js mjs\n"
				"text/plain txt text log conf\n"
				"text/csv csv\n"
				"text/markdown md markdown\n"
				"text/calendar ics\n"
				"text/vtt vtt\n"
				"application/json json map\n"
				"application/ld+json jsonld\n"
				"application/manifest+json webmanifest\n"
				"application/xml xml xsl\n"
				"application/rss+xml rss\n"
				"application/atom+xml atom\n"
				"application/xhtml+xml xhtml xht\n"
				"application/pdf pdf\n"
				"application/wasm wasm\n"
				"application/zip zip\n"
				"application/gzip gz\n"
				"application/x-bzip2 bz2\n"
				"application/x-xz xz\n"
				"application/zstd zst\n"
				"application/x-tar tar\n"
				"image/png png\n"
				"image/jpeg jpeg jpg\n"
				"image/gif gif\n"
				"image/webp webp\n"
				"image/avif avif\n"
				"image/svg+xml svg\n"
				"image/vnd.microsoft.icon ico\n"
				"image/bmp bmp\n"
				"image/tiff tiff tif\n"
				"font/woff woff\n"
				"font/woff2 woff2\n"
				"font/ttf ttf\n"
				"font/otf otf\n"
				"audio/mpeg mp3\n"
				"audio/ogg ogg oga opus\n"
				"audio/flac flac\n"
				"audio/mp4 m4a\n"
				"audio/x-wav wav\n"
				"video/mp4 mp4 m4v\n"
				"video/webm webm\n"
				"video/ogg ogv\n"
				"video/quicktime mov\n"
				"application/vnd.apple.mpegurl m3u8\n"
				"application/octet-stream bin\n";

static char lower(char byte)
{
	return byte >= 'A' && byte <= 'Z' ? (char)(byte + 32) : byte;
}

static void to_lower(char *to, crew_bytes from)
{
	for (size_t i = 0; i < from.len; i++)
		to[i] = lower(from.data[i]);
	to[from.len] = '\0';
}

/* ---- the table ----------------------------------------------------------------------------- */

static uint32_t hash(const char *text)
{
	uint32_t h =
		2166136261u; /* FNV-1a: keys are few and come from the system, not from peers */
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return h ^ h >> 15;
}

/* Where that extension is, or would be. */
static struct slot *place(const struct crew__mime *m, const char *extension)
{
	uint32_t mask = m->slot_count - 1;
	uint32_t at = hash(extension) & mask;
	while (m->slots[at].extension && strcmp(m->slots[at].extension, extension) != 0)
		at = (at + 1) & mask;
	return &m->slots[at];
}

static int grow(struct crew__mime *m)
{
	struct crew__mime larger = { .slot_count = m->slot_count * 2 };
	larger.slots = calloc(larger.slot_count, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->slot_count; i++)
		if (m->slots[i].extension)
			*place(&larger, m->slots[i].extension) = m->slots[i];
	free(m->slots);
	m->slots = larger.slots;
	m->slot_count = larger.slot_count;
	return 0;
}

/* The first to name an extension has it. */
static int put(struct crew__mime *m, const char *extension, const char *type)
{
	if (place(m, extension)->extension)
		return 0;
	if (m->count * 2 >= m->slot_count && grow(m) < 0)
		return -ENOMEM;
	crew_bytes copy = crew__arena_copy(&m->arena, crew_str(extension));
	if (!copy.data)
		return -ENOMEM;
	*place(m, extension) = (struct slot){ copy.data, type };
	m->count++;
	return 0;
}

/* ---- lines --------------------------------------------------------------------------------- */

static bool is_space(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r';
}

static bool next_word(crew_bytes *rest, crew_bytes *ret_word)
{
	const char *at = rest->data, *end = at + rest->len;
	while (at < end && is_space(*at))
		at++;
	const char *begin = at;
	while (at < end && !is_space(*at))
		at++;
	*ret_word = (crew_bytes){ begin, (size_t)(at - begin) };
	*rest = (crew_bytes){ at, (size_t)(end - at) };
	return ret_word->len > 0;
}

/* RFC 6838 section 4.2, a little wider; nothing that could not stand in a field. */
static bool is_type(crew_bytes word)
{
	static const char marks[] = "!#$&-^_.+/";
	size_t slashes = 0;
	for (size_t i = 0; i < word.len; i++) {
		char c = lower(word.data[i]);
		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') &&
			(c == '\0' || !strchr(marks, c)))
			return false;
		slashes += c == '/';
	}
	return slashes == 1 && word.len <= TYPE_MOST && word.data[0] != '/' &&
	       word.data[word.len - 1] != '/';
}

/* As it will stand in the field. */
static const char *type_text(struct crew__mime *m, crew_bytes word)
{
	static const char utf8[] = "; charset=utf-8";
	char text[TYPE_MOST + sizeof(utf8)];
	to_lower(text, word);
	if (strncmp(text, "text/", 5) == 0)
		memcpy(text + word.len, utf8, sizeof(utf8));
	return crew__arena_copy(&m->arena, crew_str(text)).data;
}

static int take_line(struct crew__mime *m, crew_bytes line)
{
	char extension[EXTENSION_MOST + 1];
	crew_bytes word;
	int error = 0;
	if (!next_word(&line, &word) || !is_type(word))
		return 0;
	const char *type = type_text(m, word);
	if (!type)
		return -ENOMEM;
	while (!error && next_word(&line, &word)) {
		if (word.len > EXTENSION_MOST || memchr(word.data, '\0', word.len))
			continue;
		to_lower(extension, word);
		error = put(m, extension, type);
	}
	return error;
}

static int take_text(struct crew__mime *m, crew_bytes text)
{
	int error = 0;
	while (!error && text.len > 0) {
		const char *end = memchr(text.data, '\n', text.len);
		size_t len = end ? (size_t)(end - text.data) : text.len;
		const char *comment = len ? memchr(text.data, '#', len) : NULL;
		size_t used = comment ? (size_t)(comment - text.data) : len;
		error = take_line(m, (crew_bytes){ text.data, used });
		len += end ? 1 : 0;
		text = (crew_bytes){ text.data + len, text.len - len };
	}
	return error;
}

/* ---- the file ------------------------------------------------------------------------------ */

static int read_all(int fd, char *room, size_t size, size_t *ret_len)
{
	size_t len = 0;
	while (len < size) {
		ssize_t n = read(fd, room + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}

static int take_open_file(struct crew__mime *m, int fd)
{
	struct stat st;
	size_t len = 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > FILE_MOST)
		return -EFBIG;
	size_t size = (size_t)st.st_size;
	char *text = malloc(size + 1);
	if (!text)
		return -ENOMEM;
	int error = read_all(fd, text, size, &len);
	if (!error)
		error = take_text(m, (crew_bytes){ text, len });
	free(text);
	return error;
}

static int take_file(struct crew__mime *m, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	int error = take_open_file(m, fd);
	close(fd);
	return error;
}

/* ---- exported ------------------------------------------------------------------------------ */

int crew__mime_new(struct crew__mime **ret_mime, const char *path)
{
	struct crew__mime *m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->arena.max = MEMORY_MOST;
	m->slot_count = SLOTS_FIRST;
	m->slots = calloc(m->slot_count, sizeof(*m->slots));
	int error = m->slots ? 0 : -ENOMEM;
	if (!error && path)
		error = take_file(m, path);
	if (!error)
		error = take_text(m, crew_str(own_table));
	if (error) {
		crew__mime_free(m);
		return error;
	}
	*ret_mime = m;
	return 0;
}

void crew__mime_free(struct crew__mime *m)
{
	if (!m)
		return;
	crew__arena_release(&m->arena);
	free(m->slots);
	free(m);
}

/* A name that only begins with a dot has no extension. */
static crew_bytes extension_of(crew_bytes path)
{
	size_t at = path.len;
	while (at > 0 && path.data[at - 1] != '.' && path.data[at - 1] != '/')
		at--;
	if (at < 2 || path.data[at - 1] != '.' || path.data[at - 2] == '/')
		return (crew_bytes){ NULL, 0 };
	return (crew_bytes){ path.data + at, path.len - at };
}

const char *crew__mime_type(const struct crew__mime *m, crew_bytes path)
{
	char text[EXTENSION_MOST + 1];
	crew_bytes extension = extension_of(path);
	if (extension.len == 0 || extension.len > EXTENSION_MOST ||
		memchr(extension.data, '\0', extension.len))
		return unknown;
	to_lower(text, extension);
	const struct slot *slot = place(m, text);
	return slot->extension ? slot->type : unknown;
}

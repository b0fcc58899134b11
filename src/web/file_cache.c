/* file_cache.c - the files of a worker that were asked for lately. */
#include "web/file_cache.h"

#include "base/check.h"
#include "base/clock.h"

#include <stdlib.h>
#include <sys/resource.h>

static const char *const suffixes[CREW__FORMS] = {
	[CREW__FORM_PLAIN] = "",
	[CREW__FORM_BROTLI] = ".br",
	[CREW__FORM_GZIP] = ".gz",
};

enum {
	SUFFIX_MOST = 3,
	SHORT_LIFE = 1 /* seconds for which an entry counts without a look */
};

/* Most descriptors are for connections. A path may need one for each form. */
static uint32_t open_most(void)
{
	struct rlimit limit = { .rlim_cur = 0 };
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	size_t share = (size_t)(limit.rlim_cur / CREW__FILES_SHARE);
	return (uint32_t)crew__max(CREW__FORMS, crew__min(share, CREW__FILES_MOST));
}

struct crew__file_cache *crew__file_cache_new(struct crew__mime *mime)
{
	struct crew__file_cache *cache = calloc(1, sizeof(*cache));
	if (!cache)
		return NULL;
	cache->mime = mime;
	cache->open_most = open_most();
	crew__list_init(&cache->by_use);
	return cache;
}

/* ---- what an entry costs ------------------------------------------------------------------- */

static size_t file_cost(const struct crew__file *file)
{
	return file ? sizeof(*file) + file->body.len : 0;
}

static size_t entry_cost(const struct crew__file_entry *entry)
{
	return sizeof(*entry) + entry->path_len + SUFFIX_MOST + 1;
}

static bool is_open(const struct crew__file *file)
{
	return file && file->fd >= 0;
}

/* Put `take_file` (NULL: none) in the place of what was there. */
static void set_form(struct crew__file_cache *cache, struct crew__file_entry *entry,
	enum crew__form form, struct crew__file *take_file)
{
	struct crew__file *old = entry->forms[form];
	cache->count = cache->count - (old != NULL) + (take_file != NULL);
	cache->open = cache->open - is_open(old) + is_open(take_file);
	cache->bytes = cache->bytes - file_cost(old) + file_cost(take_file);
	crew__file_unref(old);
	entry->forms[form] = take_file;
}

/* ---- the table ----------------------------------------------------------------------------- */

/* Only names of files that exist come in, so nobody can choose colliding ones at will. */
static uint32_t hash_of(const struct crew__root *root, crew_bytes path)
{
	uint64_t h = (uint64_t)(uintptr_t)root * 0x9e3779b97f4a7c15u;
	size_t i = 0;
	for (; i + 8 <= path.len; i += 8) {
		uint64_t word;
		memcpy(&word, path.data + i, 8);
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
	}
	for (; i < path.len; i++)
		h = (h ^ (unsigned char)path.data[i]) * 0x100000001b3u;
	return (uint32_t)(h ^ h >> 32);
}

static struct crew__file_entry **bucket(struct crew__file_cache *cache, uint32_t hash)
{
	return &cache->buckets[hash & (CREW__FILES_BUCKETS - 1)];
}

static struct crew__file_entry *find(struct crew__file_cache *cache, const struct crew__root *root,
	crew_bytes path, uint32_t hash)
{
	struct crew__file_entry *entry = *bucket(cache, hash);
	for (; entry; entry = entry->next)
		if (entry->hash == hash && entry->root == root && entry->path_len == path.len &&
			memcmp(entry->path, path.data, path.len) == 0)
			return entry;
	return NULL;
}

static void forget(struct crew__file_cache *cache, struct crew__file_entry *entry)
{
	struct crew__file_entry **at = bucket(cache, entry->hash);
	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
	crew__list_remove(&entry->by_use);
	for (unsigned form = 0; form < CREW__FORMS; form++)
		set_form(cache, entry, (enum crew__form)form, NULL);
	cache->bytes -= entry_cost(entry);
	free(entry);
}

static struct crew__file_entry *oldest(struct crew__file_cache *cache)
{
	return crew__container_of(cache->by_use.next, struct crew__file_entry, by_use);
}

/* Down to the bounds again; the newest stays, as it is about to be used. */
static void make_room(struct crew__file_cache *cache)
{
	while (cache->count > CREW__FILES_MOST || cache->bytes > CREW__FILES_BYTES_MOST ||
		cache->open > cache->open_most)
		forget(cache, oldest(cache));
}

void crew__file_cache_free(struct crew__file_cache *cache)
{
	if (!cache)
		return;
	while (!crew__list_empty(&cache->by_use))
		forget(cache, oldest(cache));
	free(cache);
}

/* ---- what a path stands for ---------------------------------------------------------------- */

/* The entry's path has room for it. */
static void set_suffix(struct crew__file_entry *entry, enum crew__form form)
{
	memcpy(entry->path + entry->path_len, suffixes[form], strlen(suffixes[form]) + 1);
}

/* A sibling that is older than the file was made of another state of it. Copies lose parts of
 * seconds, so these do not count. */
static bool is_stale(const struct crew__file *plain, const struct crew__file *sibling)
{
	return sibling->stamp.modified_s < plain->stamp.modified_s;
}

/* Look for a sibling: what cannot be opened is not there. */
static struct crew__file *open_sibling(struct crew__file_entry *entry, enum crew__form form)
{
	struct crew__file *file;
	set_suffix(entry, form);
	int error = crew__file_open(entry->root, entry->path, &file);
	set_suffix(entry, CREW__FORM_PLAIN);
	return error ? NULL : file;
}

static void drop_stale(struct crew__file_cache *cache, struct crew__file_entry *entry)
{
	for (unsigned form = CREW__FORM_PLAIN + 1; form < CREW__FORMS; form++) {
		struct crew__file *sibling = entry->forms[form];
		if (sibling && is_stale(entry->forms[CREW__FORM_PLAIN], sibling))
			set_form(cache, entry, (enum crew__form)form, NULL);
	}
}

static struct crew__file_entry *make(const struct crew__root *root, crew_bytes path, uint32_t hash,
	struct crew__file_cache *cache)
{
	struct crew__file_entry *entry = malloc(sizeof(*entry) + path.len + SUFFIX_MOST + 1);
	if (!entry)
		return NULL;
	*entry = (struct crew__file_entry){
		.root = root,
		.hash = hash,
		.path_len = (uint32_t)path.len,
		.type = crew__mime_type(cache->mime, path),
	};
	memcpy(entry->path, path.data, path.len);
	set_suffix(entry, CREW__FORM_PLAIN);
	return entry;
}

static int load(struct crew__file_cache *cache, const struct crew__root *root, crew_bytes path,
	uint32_t hash, struct crew__file_entry **ret_entry)
{
	struct crew__file *plain;
	struct crew__file_entry *entry = make(root, path, hash, cache);
	if (!entry)
		return -ENOMEM;
	int error = crew__file_open(root, entry->path, &plain);
	if (error) {
		free(entry);
		return error;
	}
	cache->bytes += entry_cost(entry);
	set_form(cache, entry, CREW__FORM_PLAIN, plain);
	for (unsigned form = CREW__FORM_PLAIN + 1; form < CREW__FORMS; form++)
		set_form(cache, entry, (enum crew__form)form,
			open_sibling(entry, (enum crew__form)form));
	drop_stale(cache, entry);
	crew__list_push(&cache->by_use, &entry->by_use);
	struct crew__file_entry **at = bucket(cache, hash);
	entry->next = *at;
	*at = entry;
	make_room(cache);
	*ret_entry = entry;
	return 0;
}

static int look_again(
	struct crew__file_cache *cache, struct crew__file_entry *entry, enum crew__form form)
{
	struct crew__file *file = NULL;
	set_suffix(entry, form);
	int current = entry->forms[form]
			      ? crew__file_is_current(entry->forms[form], entry->root, entry->path)
			      : 0;
	int error = current == 0 ? crew__file_open(entry->root, entry->path, &file) : 0;
	set_suffix(entry, CREW__FORM_PLAIN);
	if (current == 0 && !error)
		set_form(cache, entry, form, file);
	return error;
}

/* Once a second. When we are short of descriptors or memory, what we have is better than nothing.
 */
static int refresh(struct crew__file_cache *cache, struct crew__file_entry *entry)
{
	int error = look_again(cache, entry, CREW__FORM_PLAIN);
	if (error && !crew__file_error_is_ours(error))
		return error;
	for (unsigned form = CREW__FORM_PLAIN + 1; form < CREW__FORMS; form++) {
		error = look_again(cache, entry, (enum crew__form)form);
		if (error && !crew__file_error_is_ours(error))
			set_form(cache, entry, (enum crew__form)form, NULL);
	}
	drop_stale(cache, entry);
	return 0;
}

/* A long file that is written to while its entry counts must not go out under its old tag. */
static bool is_intact(const struct crew__file_entry *entry)
{
	for (unsigned form = 0; form < CREW__FORMS; form++)
		if (is_open(entry->forms[form]) && !crew__file_is_intact(entry->forms[form]))
			return false;
	return true;
}

static bool is_due(const struct crew__file_entry *entry, uint64_t now_ns)
{
	return now_ns - entry->checked_ns >= SHORT_LIFE * CREW__NS_PER_S;
}

int crew__file_cache_get(struct crew__file_cache *cache, const struct crew__root *root,
	crew_bytes path, uint64_t now_ns, const struct crew__file_entry **ret_entry)
{
	uint32_t hash = hash_of(root, path);
	struct crew__file_entry *entry = find(cache, root, path, hash);
	int error = 0;
	if (!entry) {
		error = load(cache, root, path, hash, &entry);
		if (error)
			return error;
		entry->checked_ns = now_ns;
	} else if (crew__unlikely(is_due(entry, now_ns) || !is_intact(entry))) {
		error = refresh(cache, entry);
		entry->checked_ns = now_ns;
	}
	if (crew__unlikely(error)) {
		forget(cache, entry);
		return error;
	}
	crew__list_remove(&entry->by_use);
	crew__list_push(&cache->by_use, &entry->by_use);
	make_room(cache);
	*ret_entry = entry;
	return 0;
}

void crew__file_cache_check(const struct crew__file_cache *cache)
{
	size_t bytes = 0;
	uint32_t count = 0, open = 0, in_buckets = 0, in_list = 0;
	const struct crew__node *node = cache->by_use.next;
	for (; node != &cache->by_use; node = node->next, in_list++) {
		const struct crew__file_entry *entry = crew__container_of(
			node, struct crew__file_entry, by_use);
		crew__must(entry->forms[CREW__FORM_PLAIN]);
		bytes += entry_cost(entry);
		for (unsigned form = 0; form < CREW__FORMS; form++) {
			count += entry->forms[form] != NULL;
			open += is_open(entry->forms[form]);
			bytes += file_cost(entry->forms[form]);
		}
	}
	for (size_t i = 0; i < CREW__FILES_BUCKETS; i++)
		for (const struct crew__file_entry *e = cache->buckets[i]; e; e = e->next)
			in_buckets++;
	crew__must(bytes == cache->bytes && count == cache->count && open == cache->open);
	crew__must(in_buckets == in_list && open <= cache->open_most);
	crew__must(count <= CREW__FILES_MOST && bytes <= CREW__FILES_BYTES_MOST);
}

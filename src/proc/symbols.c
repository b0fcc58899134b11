/* symbols.c - addresses to names, by tables of ELF files that are mapped.
 *
 * The tables of the program come from its file, whose sections are checked against its size; those
 * of libraries from their dynamic sections, which the loader has checked by using them. */
#include "proc/symbols.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SYMBOLS_MAX = 1 << 22, /* that a table of a library is believed to have */
	NAME_MAX_SHOWN = 80,
};

struct table {
	const ElfW(Sym) * symbols;
	size_t count;
	const char *strings;
	size_t strings_size;
};

static struct {
	const char *map; /* the file; NULL: not open */
	size_t size;
	struct table table;
	char name[64]; /* the file's, without its directory */
} program;

/* ---- the program's file -------------------------------------------------------------------- */

static bool inside(uint64_t offset, uint64_t length)
{
	uint64_t end;
	return !__builtin_add_overflow(offset, length, &end) && end <= program.size;
}

static const ElfW(Shdr) * sections(const ElfW(Ehdr) * header)
{
	uint64_t length = (uint64_t)header->e_shnum * sizeof(ElfW(Shdr));
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
		header->e_shentsize != sizeof(ElfW(Shdr)) ||
		header->e_shoff % _Alignof(ElfW(Shdr)) != 0 || !inside(header->e_shoff, length))
		return NULL;
	return (const void *)(program.map + header->e_shoff);
}

static void find_table(void)
{
	const ElfW(Ehdr) *header = (const void *)program.map;
	const ElfW(Shdr) *all = program.size >= sizeof(*header) ? sections(header) : NULL;
	for (unsigned i = 0; all && i < header->e_shnum; i++) {
		const ElfW(Shdr) *symbols = &all[i];
		if (symbols->sh_type != SHT_SYMTAB || symbols->sh_link >= header->e_shnum)
			continue;
		const ElfW(Shdr) *strings = &all[symbols->sh_link];
		if (!inside(symbols->sh_offset, symbols->sh_size) ||
			!inside(strings->sh_offset, strings->sh_size) ||
			symbols->sh_offset % _Alignof(ElfW(Sym)) != 0)
			continue;
		program.table = (struct table){
			.symbols = (const void *)(program.map + symbols->sh_offset),
			.count = symbols->sh_size / sizeof(ElfW(Sym)),
			.strings = program.map + strings->sh_offset,
			.strings_size = strings->sh_size,
		};
	}
}

static void note_name(void)
{
	static const char deleted[] = " (deleted)";
	char path[4096];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	path[length > 0 ? length : 0] = '\0';
	size_t used = strlen(path), ending = sizeof(deleted) - 1;
	if (used > ending && strcmp(path + used - ending, deleted) == 0)
		path[used - ending] = '\0';
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t kept = strnlen(name, sizeof(program.name) - 1);
	memcpy(program.name, name, kept);
	program.name[kept] = '\0';
}

void crew__symbols_open(void)
{
	struct stat st;
	if (program.map)
		return;
	note_name();
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && st.st_size > 0) {
		void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map != MAP_FAILED) {
			program.map = map;
			program.size = (size_t)st.st_size;
			find_table();
		}
	}
	close(fd);
}

void crew__symbols_close(void)
{
	if (program.map)
		munmap((void *)(uintptr_t)program.map, program.size);
	memset(&program, 0, sizeof(program));
}

/* ---- a library's dynamic section ----------------------------------------------------------- */

static uintptr_t dynamic(const struct link_map *map, int64_t tag)
{
	const ElfW(Dyn) *entry = map->l_ld;
	for (; entry->d_tag != DT_NULL; entry++)
		if (entry->d_tag == tag)
			return (uintptr_t)entry->d_un.d_ptr;
	return 0;
}

/* The loader has made addresses of them, but for what the kernel maps itself (the vdso). */
static const void *dynamic_at(const struct link_map *map, int64_t tag)
{
	uintptr_t value = dynamic(map, tag);
	return (const void *)(value != 0 && value < map->l_addr ? value + map->l_addr : value);
}

/* How many symbols there are is told only by the table that finds them by name. */
static size_t count_by_gnu_hash(const uint32_t *hash)
{
	uint32_t buckets = hash[0], first = hash[1], bloom = hash[2], last = 0;
	const uint32_t *bucket = hash + 4 + bloom * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
	const uint32_t *chain = bucket + buckets;
	for (uint32_t i = 0; i < buckets; i++)
		last = bucket[i] > last ? bucket[i] : last;
	if (last < first)
		return first;
	while (last < SYMBOLS_MAX && !(chain[last - first] & 1))
		last++;
	return (size_t)last + 1;
}

static struct table table_of_library(const struct link_map *map)
{
	const uint32_t *gnu = dynamic_at(map, DT_GNU_HASH);
	const uint32_t *old = dynamic_at(map, DT_HASH);
	struct table table = {
		.symbols = dynamic_at(map, DT_SYMTAB),
		.strings = dynamic_at(map, DT_STRTAB),
		.strings_size = dynamic(map, DT_STRSZ),
	};
	if (!table.symbols || !table.strings)
		return (struct table){ .count = 0 };
	table.count = gnu ? count_by_gnu_hash(gnu) : old ? old[1] : 0;
	return table;
}

/* ---- looking up ---------------------------------------------------------------------------- */

/* The function around that offset; NULL. */
static const char *find(const struct table *table, uintptr_t offset, uintptr_t *ret_begin)
{
	for (size_t i = 0; i < table->count; i++) {
		const ElfW(Sym) *symbol = &table->symbols[i];
		unsigned type = symbol->st_info & 0xf;
		if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol->st_shndx == SHN_UNDEF ||
			offset < symbol->st_value || offset - symbol->st_value >= symbol->st_size ||
			symbol->st_name >= table->strings_size)
			continue;
		*ret_begin = symbol->st_value;
		return table->strings + symbol->st_name;
	}
	return NULL;
}

struct text {
	char *at;
	size_t room; /* the end included; never 0 */
};

static void add(struct text *text, const char *what, size_t most)
{
	for (; *what && most > 0 && text->room > 1; what++, most--, text->room--)
		*text->at++ = *what;
	*text->at = '\0';
}

static void add_hex(struct text *text, uintptr_t number)
{
	static const char digits[] = "0123456789abcdef";
	char hex[2 * sizeof(number) + 1], *at = hex + sizeof(hex) - 1;
	*at = '\0';
	do {
		*--at = digits[number % 16];
		number /= 16;
	} while (number);
	add(text, "+0x", 3);
	add(text, at, sizeof(hex));
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

void crew__symbols_name(uintptr_t address, bool is_return, char *text, size_t size)
{
	struct dl_find_object found;
	struct text out = { .at = text, .room = size };
	uintptr_t looked_for = address - is_return, begin = 0;
	add(&out, "", 0);
	if (_dl_find_object((void *)looked_for, &found) != 0 || !found.dlfo_link_map)
		return;
	const struct link_map *map = found.dlfo_link_map;
	bool is_program = !map->l_name || map->l_name[0] == '\0';
	struct table table = is_program ? program.table : table_of_library(map);
	if (is_program && table.count == 0)
		table = table_of_library(map); /* a stripped one exports some all the same */
	const char *name = find(&table, looked_for - map->l_addr, &begin);
	if (name) {
		add(&out, name, NAME_MAX_SHOWN);
		add_hex(&out, address - map->l_addr - begin);
		add(&out, " ", 1);
	}
	add(&out, "(", 1);
	add(&out, is_program ? program.name : base_name(map->l_name), sizeof(program.name));
	add_hex(&out, address - map->l_addr);
	add(&out, ")", 1);
}

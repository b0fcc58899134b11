# Write a file's bytes as a C array: cmake -D FROM=page.html -D TO=page.h -D NAME=page -P embed.cmake
file(READ ${FROM} hex HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
string(REPEAT "0x..," 16 line)
string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
get_filename_component(name ${FROM} NAME)
file(WRITE ${TO}
	"/* ${name}, by cmake/embed.cmake */\nstatic const unsigned char ${NAME}[] = {\n${bytes}\n};\n")

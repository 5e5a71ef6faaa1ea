/* JPEG files of kinds that Pillow does not write, for make_images.py.
 *
 *     write_jpeg WIDTH HEIGHT QUALITY HxV RESTART COLOURS <rgb >jpeg
 *
 * HxV: how far colour is reduced; RESTART: blocks between restart markers, 0 for none; COLOURS: ycc or rgb. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

int main(int argc, char **argv)
{
	int across, down;
	if (argc != 7 || sscanf(argv[4], "%dx%d", &across, &down) != 2)
		return 2;
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	jpeg.err = jpeg_std_error(&errors);
	jpeg_create_compress(&jpeg);
	jpeg_stdio_dest(&jpeg, stdout);
	jpeg.image_width = (JDIMENSION)atoi(argv[1]);
	jpeg.image_height = (JDIMENSION)atoi(argv[2]);
	jpeg.input_components = 3;
	jpeg.in_color_space = JCS_RGB;
	jpeg_set_defaults(&jpeg);
	if (strcmp(argv[6], "rgb") == 0)
		jpeg_set_colorspace(&jpeg, JCS_RGB);
	jpeg_set_quality(&jpeg, atoi(argv[3]), TRUE);
	jpeg.comp_info[0].h_samp_factor = across;
	jpeg.comp_info[0].v_samp_factor = down;
	jpeg.restart_interval = (unsigned)atoi(argv[5]);
	jpeg_start_compress(&jpeg, TRUE);
	JSAMPROW row = malloc(jpeg.image_width * 3u);
	while (row && jpeg.next_scanline < jpeg.image_height && fread(row, 3, jpeg.image_width, stdin) == jpeg.image_width)
		jpeg_write_scanlines(&jpeg, &row, 1);
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	free(row);
	return 0;
}

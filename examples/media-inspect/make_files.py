"""Make the files of this folder anew: everything in them is drawn or written here, and the place is made up."""

import io
import zipfile
from pathlib import Path

from PIL import Image, ImageDraw
from PIL.ExifTags import GPS, IFD, Base

HERE = Path(__file__).parent


def photo() -> bytes:
    """An evening by the sea, held sideways: 640 by 480 pixels that EXIF says to turn, and where it was 'taken'."""
    image = Image.new("RGB", (480, 640))
    draw = ImageDraw.Draw(image)
    for y in range(640):
        share = y / 640
        sky = (int(40 + 180 * share), int(60 + 90 * share), int(120 - 20 * share))
        draw.line([(0, y), (480, y)], fill=sky if y < 400 else (20, int(70 - 40 * (share - 0.6)), 90))
    draw.ellipse((170, 320, 310, 460), fill=(255, 214, 120))
    draw.rectangle((0, 400, 480, 640), fill=(18, 58, 84))
    draw.polygon([(60, 640), (150, 470), (240, 640)], fill=(30, 30, 34))
    draw.rectangle((140, 400, 160, 480), fill=(235, 230, 220))
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Model] = "HelixNet", "Example 1"
    exif[Base.DateTime] = "2026:06:21 21:14:00"
    exif[Base.Orientation] = 6
    exif.get_ifd(IFD.Exif).update({Base.ExposureTime: 0.008, Base.FNumber: 4.0, Base.ISOSpeedRatings: 200})
    exif.get_ifd(IFD.GPSInfo).update(
        {
            GPS.GPSLatitudeRef: "S",
            GPS.GPSLatitude: (48.0, 30.0, 36.0),
            GPS.GPSLongitudeRef: "W",
            GPS.GPSLongitude: (123.0, 15.0, 18.0),
            GPS.GPSAltitude: 12.5,
        }
    )
    kept = io.BytesIO()
    image.transpose(Image.Transpose.ROTATE_90).save(kept, "JPEG", quality=82, exif=exif)
    return kept.getvalue()


def bundle() -> bytes:
    """An archive with folders in folders, an archive within it, and a name that climbs out."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_at("readme.txt"), "An archive in an archive.\n")
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(1, 4):
            archive.writestr(_at(f"logs/2026/day-{number}.log"), f"day {number}: all quiet\n" * 200)
        archive.writestr(_at("old/backup.zip"), inner.getvalue())
        archive.writestr(_at("../escape.txt"), "Unpacked carelessly, this lands beside the folder.\n")
    return outer.getvalue()


def letter() -> bytes:
    """A PNG image that is called a PDF document."""
    image = Image.new("RGB", (200, 120), (250, 248, 240))
    ImageDraw.Draw(image).text((20, 50), "Not a PDF document.", fill=(60, 60, 60))
    kept = io.BytesIO()
    image.save(kept, "PNG")
    return kept.getvalue()


def _at(name: str) -> zipfile.ZipInfo:
    about = zipfile.ZipInfo(name, (2026, 6, 21, 21, 14, 0))
    about.compress_type = zipfile.ZIP_DEFLATED
    return about


if __name__ == "__main__":
    for name, content in (("photo.jpg", photo()), ("bundle.zip", bundle()), ("letter.pdf", letter())):
        (HERE / name).write_bytes(content)

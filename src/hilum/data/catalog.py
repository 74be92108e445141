"""Catalog: what each collection is, who may use it, how to cite it, and where it is.

Sizes and counts are those of the whole published collection, rounded. A ``Remote`` has a SHA-256
where one is known for exactly that address; GitHub's archives of a branch change, and have none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remote:
    """One file of a collection on a server.

    Attributes:
        file: its name here and on a mirror.
        url: its public address.
        sha256: 64 hexadecimal digits, or "" where none is known.
        unpack: it is an archive to unpack; ``strip`` leading folders are taken off its names.
    """

    file: str
    url: str
    sha256: str = ""
    unpack: bool = False
    strip: int = 0


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One collection.

    Attributes:
        name: the adapter that reads it.
        what: one line.
        films: how many images, about.
        size: on disk, in words.
        licence, citation, address: as the collection states them.
        remotes: what ``fetch`` downloads; empty where there is no address without a login.
        how: how a person gets it where ``fetch`` cannot.
    """

    name: str
    what: str
    films: int
    size: str
    licence: str
    citation: str
    address: str
    remotes: tuple[Remote, ...] = ()
    how: str = ""


def _github(repository: str) -> tuple[Remote, ...]:
    name = repository.split("/")[1]
    url = f"https://github.com/{repository}/archive/refs/heads/master.zip"
    return (Remote(f"{name}.zip", url, unpack=True, strip=1),)


def _covidx(file: str, commit: str, sha256: str = "") -> Remote:
    base = "https://raw.githubusercontent.com/lindawangg/COVID-Net"
    return Remote(file, f"{base}/{commit}/labels/{file}", sha256)


_ENTRIES = (
    CatalogEntry(
        name="covid-chestxray-dataset",
        what="COVID-19 and other pneumonias from journals and teaching sites",
        films=950,
        size="about 600 MB",
        licence="per image: CC BY-NC-SA, CC BY, CC BY-NC-ND, unspecified",
        citation="Cohen, Morrison, Dao: COVID-19 image data collection, arXiv:2003.11597; "
        "Cohen et al., arXiv:2006.11988",
        address="https://github.com/ieee8023/covid-chestxray-dataset",
        remotes=_github("ieee8023/covid-chestxray-dataset"),
    ),
    CatalogEntry(
        name="covid-19-image-repository",
        what="serial ICU films of COVID-19 patients, Hannover Medical School",
        films=243,
        size="about 200 MB",
        licence="CC BY 3.0",
        citation="Winther et al., doi:10.6084/m9.figshare.12275009",
        address="https://github.com/ml-workgroup/covid-19-image-repository",
        remotes=_github("ml-workgroup/covid-19-image-repository"),
    ),
    CatalogEntry(
        name="covid-cxnet",
        what="COVID-19 films from social media, journals and teaching sites",
        films=900,
        size="about 500 MB",
        licence="CC BY 4.0 as stated; images come from third parties, treat as research only",
        citation="Haghanifar et al., doi:10.1007/s11042-022-12156-z; "
        "doi:10.6084/m9.figshare.12580328",
        address="https://github.com/armiro/COVID-CXNet",
        remotes=_github("armiro/COVID-CXNet"),
    ),
    CatalogEntry(
        name="nih-chestxray14",
        what="NIH Clinical Center, 1992-2015, 14 findings mined from reports",
        films=112120,
        size="45 GB",
        licence="no restriction; acknowledge the NIH Clinical Center",
        citation="Wang et al.: ChestX-ray8, CVPR 2017",
        address="https://nihcc.app.box.com/v/ChestXray-NIHCC",
        how="download images_001.tar.gz to images_012.tar.gz, Data_Entry_2017_v2020.csv and "
        "BBox_List_2017.csv from the address, and unpack them into one folder",
    ),
    CatalogEntry(
        name="rsna-pneumonia",
        what="30,000 NIH films read again by radiologists, with opacity boxes",
        films=26684,
        size="4 GB",
        licence="RSNA Pneumonia Challenge terms: non-commercial research and education",
        citation="Shih et al., Radiology: Artificial Intelligence 2019, "
        "doi:10.1148/ryai.2019180041",
        address="https://www.kaggle.com/c/rsna-pneumonia-detection-challenge",
        how="log in at the address, accept the rules, download and unpack the archive; "
        "rsna_nih_mapping.csv comes with torchxrayvision",
    ),
    CatalogEntry(
        name="shenzhen",
        what="tuberculosis and normal, Shenzhen No. 3 People's Hospital",
        films=662,
        size="3.6 GB",
        licence="NLM public use with acknowledgement; lung masks CC BY-NC-SA 4.0",
        citation="Jaeger et al., Quant Imaging Med Surg 2014;4:475; "
        "masks: Stirenko et al., arXiv:1803.01199",
        address="https://lhncbc.nlm.nih.gov/LHC-downloads/downloads.html",
        remotes=(
            Remote(
                "ChinaSet_AllFiles.zip",
                "https://openi.nlm.nih.gov/imgs/collections/ChinaSet_AllFiles.zip",
                unpack=True,
                strip=1,
            ),
        ),
    ),
    CatalogEntry(
        name="montgomery",
        what="tuberculosis and normal with lung masks, Montgomery County",
        films=138,
        size="600 MB",
        licence="NLM public use with acknowledgement",
        citation="Jaeger et al., Quant Imaging Med Surg 2014;4:475",
        address="https://lhncbc.nlm.nih.gov/LHC-downloads/downloads.html",
        remotes=(
            Remote(
                "NLM-MontgomeryCXRSet.zip",
                "https://openi.nlm.nih.gov/imgs/collections/NLM-MontgomeryCXRSet.zip",
                unpack=True,
                strip=1,
            ),
        ),
    ),
    CatalogEntry(
        name="openist",
        what="normal adults with manual lung masks",
        films=275,
        size="100 MB",
        licence="not stated; do not redistribute",
        citation="github.com/pi-null-mezon/OpenIST (images from chestx-ray.com)",
        address="https://github.com/pi-null-mezon/OpenIST",
        remotes=_github("pi-null-mezon/OpenIST"),
    ),
    CatalogEntry(
        name="kermany",
        what="children of 1 to 5 years, normal or pneumonia, Guangzhou",
        films=5856,
        size="1.2 GB",
        licence="CC BY 4.0",
        citation="Kermany et al., Cell 2018;172:1122, doi:10.17632/rscbjbr9sj",
        address="https://data.mendeley.com/datasets/rscbjbr9sj",
        remotes=(
            Remote(
                "ChestXRay2017.zip",
                "https://data.mendeley.com/public-files/datasets/rscbjbr9sj/files/"
                "f12eaf6d-6023-432f-acc9-80c9d7393433/file_downloaded",
                sha256="13efc055629733dbab07877f8b3c9f81097840dbcdaa326a8542322c2281ce36",
                unpack=True,
            ),
        ),
    ),
    CatalogEntry(
        name="covidx",
        what="split lists of COVID-Net (no images)",
        films=30882,
        size="6 MB",
        licence="lists only, research use",
        citation="Wang, Lin, Wong, Scientific Reports 2020; Pavlova et al. 2022",
        address="https://github.com/lindawangg/COVID-Net",
        remotes=(
            _covidx(
                "train_COVIDx7B.txt",
                "ef595533d4c6d95088baadad280c5f66e5078439",
                "28615c55a1e80bb45ebfc1f1802f86a27dfb3a6f8a0962e332dad284a0fb3d69",
            ),
            _covidx(
                "test_COVIDx7B.txt",
                "ef595533d4c6d95088baadad280c5f66e5078439",
                "7b25b3600abb91c214de77e099b380d3c4ec4260dc0c1ad368f71d7b2572c070",
            ),
            _covidx("train_COVIDx8B.txt", "95afbe3d357c87097164965e84aa75e90dd06f61"),
            _covidx(
                "test_COVIDx8B.txt",
                "3435782e4f3cc9d2799b1b13484c636028fa6c71",
                "7c92ae0bef49652005e1541a1f2b774e313be4431a891cb0aa5539d37ca2a71e",
            ),
        ),
    ),
    CatalogEntry(
        name="bimcv-covid19",
        what="COVID-19 by PCR with reports, Valencian Region Medical Image Bank",
        films=5381,
        size="70 GB (first iteration)",
        licence="BIMCV-COVID19 research use agreement",
        citation="de la Iglesia Vaya et al., arXiv:2006.01174",
        address="https://bimcv.cipf.es/bimcv-projects/bimcv-covid19/",
        how="accept the research use agreement at the address, download the .tar.gz parts and "
        "unpack them into one folder",
    ),
    CatalogEntry(
        name="siim-covid19",
        what="films of BIMCV and RICORD with opacity boxes and four appearances (challenge 2021)",
        films=6334,
        size="120 GB as DICOM",
        licence="BIMCV and MIDRC-RICORD terms, CC BY-NC 4.0: non-commercial research",
        citation="Lakhani et al., Journal of Digital Imaging 2023;36:365, "
        "doi:10.1007/s10278-022-00706-8",
        address="https://www.kaggle.com/c/siim-covid19-detection",
        how="log in at the address, accept the rules, download and unpack the archive, with "
        "train_image_level.csv and train_study_level.csv; pictures made of it need meta.csv and "
        "train_meta.csv beside them",
    ),
    CatalogEntry(
        name="tbx11k",
        what="tuberculosis with boxes, healthy, and sick without tuberculosis; adults, China",
        films=8400,
        size="pictures of 512 pixels",
        licence="non-commercial research, CC BY-NC-SA",
        citation="Liu et al.: Rethinking computer-aided tuberculosis diagnosis, CVPR 2020, "
        "doi:10.1109/CVPR42600.2020.00272",
        address="https://mmcheng.net/tb/",
        how="follow the download link of the address, and unpack the archive",
    ),
    CatalogEntry(
        name="jsrt",
        what="one lung nodule or none, PA, adults, Japan; lung masks of SCR",
        films=247,
        size="2 GB as raw pixels",
        licence="free for research, cite Shiraishi 2000; SCR masks for research",
        citation="Shiraishi et al., AJR 2000;174:71, doi:10.2214/ajr.174.1.1740071; masks: "
        "van Ginneken et al., Medical Image Analysis 2006;10:19",
        address="https://db.jsrt.or.jp/eng.php",
        how="register at the address, download, and convert the .IMG files (2048 x 2048, "
        "big-endian, 12 bits) to 16-bit PNG under the same names",
    ),
)

CATALOG: dict[str, CatalogEntry] = {entry.name: entry for entry in _ENTRIES}
"""Adapter name -> what is known of the collection; ``csv`` and ``folders`` are no collections."""
